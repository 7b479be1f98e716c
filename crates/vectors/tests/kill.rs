//! kill -9 at random moments during add, delete and compact. This program starts itself as the
//! process that writes, reads the numbers of the changes that it says are done, kills it, and looks
//! at the store: everything that was said to be done is there, the change that was under way is
//! there whole or not at all.

use maana_kernels::Rows;
use maana_vectors::search::Metric;
use maana_vectors::store::{Document, Store, StoreHeader, Stored, Writer, verify};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const DIMS: usize = 4;
const KILLS: usize = 100;
/// Tells the child where to write, and the number of its first change.
const FOLDER: &str = "MAANA_VECTORS_KILL_FOLDER";
const FIRST: &str = "MAANA_VECTORS_KILL_FIRST";

type Entry = (String, Vec<f32>, Vec<u8>);

/// The same numbers for a seed everywhere.
fn draw(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |limit| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % limit
    }
}

enum Change {
    Add(Vec<Entry>),
    Delete(Vec<String>),
    Compact,
}

/// Change `number` is the same in parent and child.
fn change(number: u64) -> Change {
    let mut draw = draw(number + 1);
    match draw(6) {
        0..3 => {
            let first = draw(400);
            let entry = |i: u64| {
                let vector = (0..DIMS as u64).map(|d| (number + i * 7 + d) as f32).collect();
                (format!("{}", first + i), vector, vec![number as u8; ((i * 37) % 300) as usize])
            };
            Change::Add((0..1 + draw(60)).map(entry).collect())
        }
        3..5 => {
            let first = draw(400);
            Change::Delete((first..first + draw(40)).map(|id| id.to_string()).collect())
        }
        _ => Change::Compact,
    }
}

fn apply(entries: &mut Vec<Entry>, change: &Change) {
    match change {
        Change::Add(new) => {
            entries.retain(|(id, ..)| new.iter().all(|(other, ..)| other != id));
            entries.extend(new.iter().cloned());
        }
        Change::Delete(ids) => entries.retain(|(id, ..)| !ids.contains(id)),
        Change::Compact => {}
    }
}

fn entries(folder: &Path) -> Vec<Entry> {
    let store = Store::open(folder).unwrap();
    let corpus = store.corpus();
    let entry = |row: usize| {
        let mut vector = vec![0.0; DIMS];
        corpus.copy_row(row, &mut vector);
        let document = store.document(row).unwrap();
        (document.id.to_owned(), vector, document.payload.to_vec())
    };
    store.rows().map(entry).collect()
}

/// The child; without the variable it is a test of nothing.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let mut writer = Writer::open(folder).unwrap();
    let mut out = std::io::stdout();
    let mut say = |word: String| out.write_all(word.as_bytes()).and_then(|()| out.flush()).unwrap();
    say("|ready|".to_owned());
    for number in first.. {
        match change(number) {
            Change::Add(new) => {
                let documents: Vec<Document<'_>> =
                    new.iter().map(|(id, _, payload)| Document { id, payload }).collect();
                let vectors: Vec<f32> = new.iter().flat_map(|(_, vector, _)| vector.iter().copied()).collect();
                writer.add(&documents, Rows::new(&vectors, new.len(), DIMS, DIMS)).unwrap();
            }
            Change::Delete(ids) => {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                writer.delete(&ids).unwrap();
            }
            Change::Compact => {
                writer.compact().unwrap();
            }
        }
        say(format!("|{number}|"));
    }
}

#[test]
fn a_hundred_kills_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let header = StoreHeader::new(DIMS, Metric::Cosine, Stored::F32, b"x", "a test");
    drop(Writer::create(folder.path(), header).unwrap());
    let mut expected: Vec<Entry> = Vec::new();
    let (mut next, mut moments, mut halfway) = (0u64, draw(77), 0);
    let start = Instant::now();
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .env(FIRST, next.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"|ready|") {
            let mut byte = [0];
            out.read_exact(&mut byte).expect("the child gets ready");
            said.push(byte[0]);
        }
        said.clear();
        std::thread::sleep(Duration::from_micros(moments(120_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        out.read_to_end(&mut said).unwrap();
        let said = String::from_utf8(said).unwrap();
        // The last number is followed by its bar unless the kill came between: what is not said
        // whole is not said.
        let whole = &said[..said.rfind('|').map_or(0, |end| end + 1)];
        for number in whole.split('|').filter_map(|number| number.parse::<u64>().ok()) {
            assert_eq!(number, next, "kill {kill}");
            apply(&mut expected, &change(next));
            next += 1;
        }
        let verified = verify(folder.path()).unwrap();
        assert!(verified.damages.is_empty(), "kill {kill}: {verified:?}");
        let found = entries(folder.path());
        let mut after = expected.clone();
        apply(&mut after, &change(next));
        if found != expected {
            assert!(found == after, "kill {kill}, change {next}: {} entries, {} expected", found.len(), expected.len());
            expected = after;
            next += 1;
            halfway += 1;
        }
        // A change that alters nothing cannot be distinguished from one that was not made; the next
        // child makes it again.
    }
    println!("{KILLS} kills in {:?}, {next} changes, {halfway} done and not yet said", start.elapsed());
    assert!(next > KILLS as u64);
}

/// A reader that opens again and again while another process changes the store sees whole states
/// only.
#[test]
fn readers_see_whole_states_while_another_process_writes() {
    let folder = tempfile::tempdir().unwrap();
    let header = StoreHeader::new(DIMS, Metric::Cosine, Stored::F32, b"x", "a test");
    drop(Writer::create(folder.path(), header).unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .env(FIRST, "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut expected, mut next, mut states) = (Vec::new(), 0u64, 0);
    let start = Instant::now();
    let mut refreshed = Store::open(folder.path()).unwrap();
    while start.elapsed() < Duration::from_millis(1500) {
        let found = entries(folder.path());
        // Changes only go forward; the state is that after some change.
        while found != expected {
            apply(&mut expected, &change(next));
            next += 1;
            assert!(next < 100_000, "a state that never was");
        }
        refreshed.refresh().unwrap();
        assert_eq!(refreshed.rows().count(), refreshed.len());
        states += 1;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    println!("{states} states were read, {next} changes were made");
    assert!(states > 10 && next > 3);
}
