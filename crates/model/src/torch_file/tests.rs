//! Files of PyTorch: those of the reference, and hostile ones that are written byte by byte.

mod legacy;

use super::messages::DAMAGED;
use super::*;
use maana_files::MappedFile;
use safetensors::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/torch").join(name)
}

/// The same tensors in both forms of a file.
const FORMS: [&str; 2] = ["tensors.bin", "legacy/tensors.bin"];

#[test]
fn tensors_of_every_type_and_layout_are_those_of_safetensors() {
    let twin = std::fs::read(golden("tensors.safetensors")).unwrap();
    let twin = SafeTensors::deserialize(&twin).unwrap();
    for name in FORMS {
        let file = MappedFile::open(golden(name)).unwrap();
        let tensors = read(&file).unwrap();
        assert_eq!(tensors.len(), twin.len());
        for (name, tensor) in &tensors {
            let expected = twin.tensor(name).unwrap();
            assert_eq!((tensor.dtype, &tensor.shape[..]), (expected.dtype(), expected.shape()), "{name}");
            assert_eq!(&*tensor.read(&file).unwrap(), expected.data(), "{name}");
        }
        let gathered: Vec<&str> =
            tensors.iter().filter(|(_, tensor)| tensor.strides.is_some()).map(|(name, _)| &**name).collect();
        assert_eq!(gathered, ["transposed", "steps", "column", "permuted", "expanded", "steps of bf16"]);
    }
}

#[test]
fn storages_of_floats_can_be_read_in_place() {
    let file = MappedFile::open(golden("state_dict.bin")).unwrap();
    for (name, tensor) in read(&file).unwrap() {
        assert!(tensor.bytes.start.is_multiple_of(64) && tensor.strides.is_none(), "{name}");
    }
}

/// A zip file with these entries, stored, as `torch.save` writes it but for the numbers of 64 bits.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let start = bytes.len() as u32;
        let lengths = [content.len() as u32; 2].map(u32::to_le_bytes).concat();
        let name_length = (name.len() as u16).to_le_bytes();
        bytes.extend([b"PK\x03\x04".as_slice(), &[0; 14], &lengths, &name_length, &[0; 2], name.as_bytes()].concat());
        bytes.extend(*content);
        directory.extend([b"PK\x01\x02".as_slice(), &[0; 16], &lengths, &name_length, &[0; 12]].concat());
        directory.extend([&start.to_le_bytes(), name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let [length, start] = [directory.len(), bytes.len()].map(|number| (number as u32).to_le_bytes());
    bytes.extend(directory);
    bytes.extend([b"PK\x05\x06".as_slice(), &[0; 4], &count, &count, &length, &start, &[0; 2]].concat());
    bytes
}

/// A file with this pickle and a storage of eight bytes.
fn file(pickle: &[u8]) -> Vec<u8> {
    zip(&[("x/data.pkl", pickle), ("x/byteorder", b"little"), ("x/data/0", &[7; 8])])
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn integer(number: i64) -> Vec<u8> {
    [b"\x8a\x08", &number.to_le_bytes()[..]].concat()
}

fn tuple(items: &[i64]) -> Vec<u8> {
    [b"(", &items.iter().flat_map(|item| integer(*item)).collect::<Vec<u8>>()[..], b"t"].concat()
}

/// A tensor of `torch.FloatStorage` with this number of elements.
fn tensor(elements: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let storage = [
        b"(".as_slice(),
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        &integer(elements),
        b"tQ",
    ];
    let arguments = [&integer(offset)[..], &tuple(shape), &tuple(strides), b"\x89ccollections\nOrderedDict\n)R"];
    [b"ctorch._utils\n_rebuild_tensor_v2\n(", &storage.concat()[..], &arguments.concat(), b"tR"].concat()
}

/// A state dict with one tensor.
fn state_dict(tensor: &[u8]) -> Vec<u8> {
    [b"\x80\x02}", &text("a")[..], tensor, b"s."].concat()
}

#[track_caller]
fn assert_refused(bytes: &[u8], expected: &[&str]) {
    let reason = tensors(bytes).unwrap_err();
    assert!(expected.iter().all(|part| reason.contains(part)), "{reason}");
    assert!(
        reason.len() < 700 && (reason.contains(DAMAGED) || reason.contains("onvert") || reason.contains("more than")),
        "{reason}"
    );
}

#[test]
fn a_file_written_by_hand_is_read() {
    let bytes = file(&state_dict(&tensor(2, 1, &[1], &[1])));
    let [(name, tensor)] = &tensors(&bytes).unwrap()[..] else { panic!("one tensor") };
    assert_eq!((&**name, tensor.dtype, &tensor.shape[..]), ("a", Dtype::F32, &[1][..]));
    assert_eq!((&bytes[tensor.bytes.clone()], tensor.bytes.len()), (&[7; 4][..], 4));
}

#[test]
fn no_code_of_a_pickle_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let proof = folder.path().join("proof");
    let command = text(&format!("touch {}", proof.display()));
    let calls: [(&[u8], &str); 8] = [
        (b"cos\nsystem\n", "`os.system`"),
        (b"cposix\nsystem\n", "`posix.system`"),
        (b"csubprocess\nPopen\n", "`subprocess.Popen`"),
        (b"cbuiltins\neval\n", "`builtins.eval`"),
        (b"c__builtin__\ngetattr\n", "`__builtin__.getattr`"),
        (b"ctorch\nload\n", "`torch.load`"),
        (b"ctorch.hub\nload\n", "`torch.hub.load`"),
        (b"ctorch._utils\n_rebuild_qtensor\n", "`torch._utils._rebuild_qtensor`"),
    ];
    for (function, name) in calls {
        for pickle in [
            [b"\x80\x02", function, &command, b"\x85R."].concat(),
            state_dict(&[function, &command, b"\x85R"].concat()),
        ] {
            assert_refused(&file(&pickle), &["x/data.pkl", name, "nothing of it was run"]);
        }
    }
    // Opcodes that make objects or name globals in another way.
    for opcode in [0x81, 0x92, 0x93, b'i', b'o', b'P', 0x82, 0x95, 0x98] {
        assert_refused(&file(&[b"\x80\x02((NNN", &[opcode][..]].concat()), &[&format!("opcode {opcode:#04x}")]);
    }
    // A storage is no function.
    let called = state_dict(&[b"ctorch\nFloatStorage\n", &command[..], b"\x85R"].concat());
    assert_refused(&file(&called), &["an operand is of the wrong kind"]);
    assert!(!proof.exists());
}

#[test]
fn pickles_that_are_no_state_dict_are_refused() {
    let cases: [(&[u8], &str); 17] = [
        (b"", "it ends early"),
        (b"\x80\x05.", "protocol 5"),
        (b"\x80\x02.", "an operand is missing"),
        (b"\x80\x02N.", "None instead of a dict"),
        (b"\x80\x02).", "an object instead of a dict"),
        (b"\x80\x02}K\x01Ns.", "the number 1 instead of a text"),
        (b"\x80\x02}X\x01\0\0\0aNs.", "`a` is None instead of a tensor"),
        (b"\x80\x02}q\0X\x01\0\0\0ah\0s.", "`a` is an object instead of a tensor"),
        (b"\x80\x02}(Nu.", "an operand is missing"),
        (b"\x80\x02((NNs.", "an operand is missing"),
        (b"\x80\x02Nb.", "an operand is missing"),
        (b"\x80\x02)}b.", "attributes"),
        (b"\x80\x02h\x07.", "before it is there"),
        (b"\x80\x02X\xff\xff\xff\xffa", "it ends early"),
        (b"\x80\x02\x8a\x09123456789.", "too large"),
        (b"\x80\x02X\x01\0\0\0\xff.", "not UTF-8"),
        (b"\x80\x02NQ.", "wrong kind"),
    ];
    for (pickle, expected) in cases {
        assert_refused(&file(pickle), &["entry `x/data.pkl`", expected]);
    }
    let twice =
        [b"\x80\x02}", &text("a")[..], &tensor(2, 0, &[2], &[1]), b"s", &text("a"), &tensor(2, 0, &[2], &[1]), b"s."];
    assert_refused(&file(&twice.concat()), &["tensor `a` is there twice"]);
}

/// Elements of the storage, offset, shape and strides of a tensor, and a part of its error.
type Case<'a> = (i64, i64, &'a [i64], &'a [i64], &'a str);

#[test]
fn tensors_beyond_their_storages_are_refused() {
    let most = i64::MAX;
    let cases: [Case<'_>; 15] = [
        (3, 0, &[2], &[1], "a storage of 3 elements in entry `x/data/0` of 8 bytes"),
        (most, 0, &[2], &[1], "elements in entry"),
        (-1, 0, &[2], &[1], "a storage of -1 elements"),
        (2, 0, &[3], &[1], "beyond its storage of 8 bytes"),
        (1, 0, &[2], &[1], "beyond its storage of 4 bytes"),
        (2, 1, &[2], &[1], "beyond its storage"),
        (2, 0, &[2], &[2], "beyond its storage"),
        (2, 3, &[0], &[1], "beyond its storage"),
        (2, most, &[1], &[1], "beyond its storage"),
        (2, 0, &[most, most], &[0, 0], "beyond its storage"),
        (2, 0, &[most], &[most], "beyond its storage"),
        (2, -1, &[1], &[1], "the negative offset -1"),
        (2, 0, &[-1], &[1], "not a whole number from 0 on"),
        (2, 0, &[1, 1], &[1], "2 dimensions and 1 strides"),
        (2, 0, &[1; 9], &[1; 9], "9 dimensions, more than 8"),
    ];
    for (elements, offset, shape, strides, expected) in cases {
        assert_refused(&file(&state_dict(&tensor(elements, offset, shape, strides))), &["tensor `a`", expected]);
    }
    let elsewhere = zip(&[("x/data.pkl", &state_dict(&tensor(2, 0, &[2], &[1]))), ("x/data/1", &[7; 8])]);
    assert_refused(&elsewhere, &["tensor `a`", "`x/data/0`, which the file lacks"]);
    // Few bytes that are used again and again.
    let expanded = file(&state_dict(&tensor(2, 0, &[1 << 20, 1 << 20], &[0, 0])));
    assert_refused(&expanded, &["bytes in a file of", "tied weights"]);
}

#[test]
fn pickles_that_grow_are_bounded() {
    // Deeply nested, doubled in every step, and with distant places in the memo.
    let nested = [b"\x80\x02)".as_slice(), &b"\x85".repeat(1 << 20), b"."].concat();
    assert_refused(&file(&nested), &["an object instead of a dict"]);
    let doubled = [b"\x80\x02)q\0".as_slice(), &b"h\0h\0\x86q\0".repeat(100_000), b"."].concat();
    assert_refused(&file(&doubled), &["an object instead of a dict"]);
    let distant = (0..100_000_u32).flat_map(|n| [b"r".as_slice(), &(u32::MAX - n).to_le_bytes()].concat());
    let distant: Vec<u8> = [b"\x80\x02N".to_vec(), distant.collect(), b".".to_vec()].concat();
    assert_refused(&file(&distant), &["None instead of a dict"]);
    assert_refused(&file(&b"N".repeat(1 << 22)), &["more than 2097152 opcodes"]);
    // A long tuple as the arguments of many tensors, storages and shapes.
    let long = [b"\x80\x02(".as_slice(), &b"N".repeat(1 << 19), b"tq\0"].concat();
    let tensors =
        [&long[..], b"ctorch._utils\n_rebuild_tensor_v2\nq\x01", &b"h\x01h\0R".repeat(1 << 18), b"."].concat();
    assert_refused(&file(&tensors), &["an object instead of a dict"]);
    let storages = [&long[..], &b"h\0Q".repeat(1 << 18), b"."].concat();
    assert_refused(&file(&storages), &["an object instead of a dict"]);
}

#[test]
fn archives_that_are_not_sound_are_refused() {
    let pickle = state_dict(&tensor(2, 0, &[2], &[1]));
    let sound: Vec<(&str, &[u8])> = vec![("x/data.pkl", &pickle), ("x/data/0", &[7; 8])];
    let with = |more: &[(&'static str, &'static [u8])]| zip(&[&sound[..], more].concat());
    assert!(tensors(&with(&[])).is_ok());
    assert_refused(b"", &["does not end with the directory"]);
    assert_refused(b"version https://git-lfs.github.com/spec/v1\n", &["does not end with the directory"]);
    let tar = [&[0; 257], b"ustar\x0000".as_slice(), &[0; 512]].concat();
    assert_refused(&tar, &["it is a tar file, the form of PyTorch 0.1", "convert it in Python"]);
    assert_refused(&zip(&[("x/version", b"3")]), &["without the entry `data.pkl`"]);
    assert_refused(&zip(&[("data.pkl", &pickle)]), &["without the entry `data.pkl`"]);
    assert_refused(&with(&[("y/data.pkl", b"")]), &["several entries `data.pkl`"]);
    assert_refused(&with(&[("x/data/0", b"other")]), &["entry `x/data/0` is there twice"]);
    assert_refused(&with(&[("x/byteorder", b"big")]), &["entry `x/byteorder` says \"big\"", "little-endian"]);

    // Places in the directory, whose entries are one behind the other.
    let bytes = with(&[]);
    let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let second = directory + 46 + "x/data.pkl".len();
    let end = bytes.len() - 22;
    let cases: [(usize, &[u8], &str); 12] = [
        (directory + 10, &[8], "(`x/data.pkl`) is compressed"),
        (directory + 8, &[1], "is encrypted"),
        (directory + 20, &[1], "is compressed"),
        (second + 42, &[0], "where another thing is"),
        (second + 42, &[0xff, 0xff], "beyond the end of the file"),
        (second + 42, &[0xff; 4], "is cut short"),
        (second + 20, &[0xf0, 0xff, 0xff, 0xff, 0xf0, 0xff, 0xff, 0xff], "beyond the end of the file"),
        (directory + 20, &[208, 0, 0, 0, 208, 0, 0, 0], "overlap"),
        (second + 28, &[0xff, 0xff], "is cut short"),
        (end + 10, &[9], "entry 2 of its directory of 9 is cut short"),
        (end + 12, &[0xff; 4], "lies beyond its end"),
        (end + 16, &[0xff; 4], "lies beyond its end"),
    ];
    for (at, change, expected) in cases {
        let mut changed = bytes.clone();
        changed[at..at + change.len()].copy_from_slice(change);
        assert_refused(&changed, &["not a sound file of PyTorch", expected]);
    }
}

#[test]
fn numbers_of_64_bits_in_a_directory_are_checked() {
    let bytes = std::fs::read(golden("3_LayerNorm.bin")).unwrap();
    assert!(tensors(&bytes).is_ok());
    let record = bytes.windows(4).position(|window| window == b"PK\x06\x06").unwrap();
    for (at, name) in [(32, "directory"), (40, "directory"), (48, "directory"), (56 + 8, "directory")] {
        for number in [1 << 62, u64::MAX, bytes.len() as u64] {
            let mut changed = bytes.clone();
            changed[record + at..record + at + 8].copy_from_slice(&number.to_le_bytes());
            assert_refused(&changed, &["not a sound file of PyTorch", name]);
        }
    }
}

#[test]
fn files_that_are_cut_anywhere_are_refused() {
    for name in FORMS {
        let bytes = std::fs::read(golden(name)).unwrap();
        for length in 0..bytes.len() {
            assert_refused(&bytes[..length], &[DAMAGED]);
        }
    }
}

#[test]
fn no_changed_byte_leads_out_of_the_file() {
    for name in FORMS {
        let bytes = std::fs::read(golden(name)).unwrap();
        let mut changed = bytes.clone();
        for at in 0..bytes.len() {
            for change in [1, 0x80, 0xff, bytes[at]] {
                changed[at] ^= change;
                for (tensor_name, tensor) in tensors(&changed).unwrap_or_default() {
                    let is_within = tensor.bytes.start <= tensor.bytes.end && tensor.bytes.end <= bytes.len();
                    assert!(is_within, "{name}: {tensor_name} {at}");
                }
                changed[at] = bytes[at];
            }
        }
    }
}
