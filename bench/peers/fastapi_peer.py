"""Sentence Transformers behind FastAPI, for `cargo xtask bench-serve`: the server that people write in an afternoon.

    python fastapi_peer.py --model FOLDER --port PORT --threads N [--batching]

Without --batching each request is encoded by itself, one after another, as in most examples; requests in a pool of threads would be
slower, since the threads of PyTorch take each other's cores. With it requests that wait are encoded together, up to 64 at once,
sorted by length within `encode`: nobody waits for others to come, and tokenising, computing and answering overlap as far as
Python lets them.
"""

import argparse
import asyncio
import base64
import concurrent.futures
import contextlib
import os

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--batching", action="store_true")
arguments = parser.parse_args()
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

TOGETHER = 64
torch.set_num_threads(arguments.threads)
model = SentenceTransformer(arguments.model, device="cpu")
computing = concurrent.futures.ThreadPoolExecutor(1)
waiting = asyncio.Queue()


class Request(BaseModel):
    input: str | list[str]
    model: str = ""
    encoding_format: str = "float"


def encode(texts):
    return model.encode(texts, show_progress_bar=False)


async def encode_what_waits():
    loop = asyncio.get_running_loop()
    while True:
        together = [await waiting.get()]
        while len(together) < TOGETHER and not waiting.empty():
            together.append(waiting.get_nowait())
        texts = [text for inputs, _ in together for text in inputs]
        try:
            embeddings = iter(await loop.run_in_executor(computing, encode, texts))
            for inputs, answer in together:
                answer.set_result([next(embeddings) for _ in inputs])
        except Exception as error:
            for _, answer in together:
                answer.set_exception(error)


async def together_with_others(inputs):
    answer = asyncio.get_running_loop().create_future()
    waiting.put_nowait((inputs, answer))
    return await answer


@contextlib.asynccontextmanager
async def lifespan(_):
    task = asyncio.create_task(encode_what_waits())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.post("/v1/embeddings")
async def embeddings(request: Request):
    inputs = [request.input] if isinstance(request.input, str) else request.input
    rows = await together_with_others(inputs) if arguments.batching else encode(inputs)
    as_asked = lambda row: base64.b64encode(row.tobytes()).decode() if request.encoding_format == "base64" else row.tolist()
    data = [{"object": "embedding", "index": index, "embedding": as_asked(row)} for index, row in enumerate(rows)]
    return {"object": "list", "model": request.model, "data": data}


uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")
