//! Files of before PyTorch 1.6 that are written byte by byte.

use super::super::legacy::MAGIC;
use super::{assert_refused, integer, text, tuple};
use crate::torch_file::tensors;
use safetensors::Dtype;

const VERSION: &[u8] = b"\x80\x02M\xe9\x03.";
const LITTLE_ENDIAN: &[u8] = b"\x80\x02}X\x0d\0\0\0little_endian\x88s.";
const NO_PART: &[u8] = b"N";

/// A tensor of a storage of floats with this key, number of elements and part; the tensor has the
/// first elements.
fn tensor(key: &str, elements: i64, part: &[u8], length: i64) -> Vec<u8> {
    typed_tensor(b"FloatStorage", key, elements, part, length)
}

fn typed_tensor(class: &[u8], key: &str, elements: i64, part: &[u8], length: i64) -> Vec<u8> {
    let storage = [b"(", &text("storage")[..], b"ctorch\n", class, b"\n", &text(key), &text("cpu"), &integer(elements)];
    let arguments = [part, b"tQ", &integer(0), &tuple(&[length]), &tuple(&[1])];
    [b"ctorch._utils\n_rebuild_tensor\n(", &storage.concat()[..], &arguments.concat(), b"tR"].concat()
}

/// A part of a storage.
fn part(first: i64, count: i64) -> Vec<u8> {
    [&text("view")[..], &integer(first), &integer(count), b"\x87"].concat()
}

/// The pickle of a state dict with these tensors, named by their numbers.
fn state_dict(tensors: &[Vec<u8>]) -> Vec<u8> {
    let entries = tensors.iter().enumerate();
    let entries: Vec<u8> =
        entries.flat_map(|(number, tensor)| [&text(&number.to_string())[..], tensor, b"s"].concat()).collect();
    [b"\x80\x02}", &entries[..], b"."].concat()
}

/// The pickle of a list of keys.
fn list(keys: &[&str]) -> Vec<u8> {
    let keys: Vec<u8> = keys.iter().flat_map(|key| text(key)).collect();
    [b"\x80\x02](", &keys[..], b"e."].concat()
}

/// A storage of eight bytes that says it has this number of elements.
fn storage(count: i64) -> Vec<u8> {
    [count.to_le_bytes(), [7; 8]].concat()
}

fn file(tensors: &[Vec<u8>], keys: &[&str], storages: &[Vec<u8>]) -> Vec<u8> {
    [MAGIC, VERSION, LITTLE_ENDIAN, &state_dict(tensors), &list(keys), &storages.concat()].concat()
}

#[test]
fn older_files_written_by_hand_are_read() {
    let bytes = file(
        &[tensor("94", 2, NO_PART, 2), tensor("94", 2, &part(1, 1), 1), typed_tensor(b"HalfStorage", "5", 4, b"N", 3)],
        &["5", "94"],
        &[storage(4), storage(2)],
    );
    let tensors = tensors(&bytes).unwrap();
    let places = tensors.iter().map(|(name, tensor)| (&**name, tensor.dtype, bytes.len() - tensor.bytes.start));
    let expected = [("0", Dtype::F32, 8), ("1", Dtype::F32, 4), ("2", Dtype::F16, 24)];
    assert_eq!(places.collect::<Vec<_>>(), expected);
    assert!(tensors.iter().all(|(_, tensor)| bytes[tensor.bytes.clone()].iter().all(|byte| *byte == 7)));
}

#[test]
fn storages_that_are_not_those_of_the_tensors_are_refused() {
    let one = || tensor("94", 2, NO_PART, 2);
    let sound = file(&[one()], &["94"], &[storage(2)]);
    assert!(tensors(&sound).is_ok());
    let cases: [(Vec<u8>, &str); 15] = [
        (file(&[one()], &[], &[]), "lies in storage `94`, which the file lacks"),
        (file(&[one()], &["95"], &[storage(2)]), "storage `95` belongs to no tensor"),
        (file(&[one()], &["94", "94"], &[storage(2), storage(2)]), "storage `94` is there twice"),
        (file(&[one()], &["94"], &[storage(3)]), "storage `94` has 3 elements, but the tensors need 2"),
        (file(&[one()], &["94"], &[storage(-1)]), "has -1 elements"),
        (file(&[tensor("94", -1, NO_PART, 0)], &["94"], &[storage(-1)]), "beyond the end of the file"),
        (file(&[tensor("94", 3, NO_PART, 3)], &["94"], &[storage(3)]), "beyond the end of the file"),
        (file(&[tensor("94", i64::MAX, NO_PART, 1)], &["94"], &[storage(i64::MAX)]), "beyond the end of the file"),
        (file(&[one()], &["94"], &[]), "beyond the end of the file"),
        (file(&[one()], &["94"], &[storage(2), vec![0]]), "1 bytes follow its last storage"),
        (file(&[tensor("94", 2, NO_PART, 3)], &["94"], &[storage(2)]), "beyond its storage of 8 bytes"),
        (
            file(&[one(), typed_tensor(b"IntStorage", "94", 2, b"N", 2)], &["94"], &[storage(2)]),
            "storage `94` has two types or lengths",
        ),
        (file(&[one(), tensor("94", 1, NO_PART, 1)], &["94"], &[storage(2)]), "storage `94` has two types or lengths"),
        (file(&[one(), tensor(&"9".repeat(65), 2, b"N", 2)], &["94"], &[storage(2)]), "whose name is too long"),
        (file(&[tensor("94", 2, b"NN", 2)], &["94"], &[storage(2)]), "another persistent id"),
    ];
    for (bytes, expected) in cases {
        assert_refused(&bytes, &[expected]);
    }
}

#[test]
fn parts_beyond_their_storage_are_refused() {
    let with = |part: &[u8], length| file(&[tensor("94", 2, part, length)], &["94"], &[storage(2)]);
    assert!(tensors(&with(&part(0, 2), 2)).is_ok() && tensors(&with(&part(2, 0), 0)).is_ok());
    for (first, count) in [(1, 2), (3, 0), (-1, 1), (0, -1), (i64::MAX, 1), (1, i64::MAX), (i64::MAX, i64::MAX)] {
        assert_refused(&with(&part(first, count), 0), &["tensor `0`", "of a storage of 2 in storage `94`"]);
    }
    assert_refused(&with(&part(1, 1), 2), &["beyond its storage of 4 bytes"]);
    assert_refused(&with(b"K\x01", 2), &["another persistent id"]);
    assert_refused(&with(b"K\x01K\x01\x86", 2), &["another persistent id"]);
}

#[test]
fn pickles_around_the_tensors_are_checked() {
    let (tensors, keys) = (state_dict(&[tensor("94", 2, NO_PART, 2)]), list(&["94"]));
    let file = |version: &[u8], system: &[u8], tensors: &[u8], keys: &[u8]| {
        [MAGIC, version, system, tensors, keys, &storage(2)].concat()
    };
    let cases = [
        (file(b"\x80\x02K\x01.", LITTLE_ENDIAN, &tensors, &keys), "its version is the number 1 instead of"),
        (file(b"\x80\x02N.", LITTLE_ENDIAN, &tensors, &keys), "its version is None instead of"),
        (file(VERSION, b"\x80\x02N.", &tensors, &keys), "lacks `little_endian`"),
        (file(VERSION, b"\x80\x02}.", &tensors, &keys), "lacks `little_endian`"),
        (file(VERSION, b"\x80\x02}X\x0d\0\0\0little_endianNs.", &tensors, &keys), "lacks `little_endian`"),
        (file(VERSION, b"\x80\x02}X\x0d\0\0\0little_endian\x89s.", &tensors, &keys), "a big-endian computer"),
        (
            [MAGIC, VERSION, LITTLE_ENDIAN, b"\x80\x02N.", &list(&[])].concat(),
            "the pickle of its tensors: it holds None",
        ),
        (
            file(VERSION, LITTLE_ENDIAN, b"\x80\x02cos\nsystem\n", &keys),
            "the pickle of its tensors: it refers to `os.system`",
        ),
        (
            file(VERSION, LITTLE_ENDIAN, b"\x80\x02NQ.", &keys),
            "the pickle of its tensors: an operand is of the wrong kind",
        ),
        (
            file(VERSION, LITTLE_ENDIAN, &tensors, b"\x80\x02}."),
            "the keys of its storages are an object instead of a list",
        ),
        (file(VERSION, LITTLE_ENDIAN, &tensors, b"\x80\x02]K\x01a."), "the key of a storage is the number 1"),
        (file(VERSION, LITTLE_ENDIAN, &tensors, b"\x80\x02}Na."), "an operand is of the wrong kind"),
        (file(VERSION, LITTLE_ENDIAN, &tensors, b"\x80\x02(Ne."), "an operand is missing"),
    ];
    for (bytes, expected) in cases {
        assert_refused(&bytes, &[expected]);
    }
    // One tuple as the id of many storages.
    let long = [b"\x80\x02(".as_slice(), &b"N".repeat(1 << 19), b"tq\0}", &b"h\0Q".repeat(1 << 18), b"."].concat();
    assert_refused(&file(VERSION, LITTLE_ENDIAN, &long, &keys), &["another persistent id"]);
}
