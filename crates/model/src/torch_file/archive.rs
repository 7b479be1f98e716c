//! The directory of a zip file as `torch.save` writes it: entries that are stored, not compressed,
//! in one folder. Only the directory at the end of the file counts; the header in front of an entry
//! must have the same name.

use super::messages::{CONVERT, DAMAGED, shown};
use super::storage::Storages;
use std::collections::HashMap;
use std::ops::Range;

const END: usize = 0x0605_4b50;
const END_LENGTH: usize = 22;
const LONGEST_COMMENT: usize = 0xffff;
const LOCATOR_64: usize = 0x0706_4b50;
const LOCATOR_64_LENGTH: usize = 20;
const END_64: usize = 0x0606_4b50;
const ENTRY: usize = 0x0201_4b50;
const ENTRY_LENGTH: usize = 46;
const LOCAL: usize = 0x0403_4b50;
const LOCAL_LENGTH: usize = 30;
/// Kind of the extra field with numbers that do not fit into 32 bits.
const EXTRA_64: usize = 1;

/// Most bytes of a directory; models have some kilobytes.
const LONGEST_DIRECTORY: usize = 1 << 24;

/// The entries of a file.
pub(super) struct Archive<'a> {
    /// Places of their bytes.
    entries: HashMap<&'a str, Range<usize>>,
    /// The folder of all of them.
    root: &'a str,
    file_length: usize,
}

/// An entry of the directory.
struct Entry<'a> {
    name: &'a str,
    /// The header in front of its bytes.
    header: usize,
    length: usize,
}

impl<'a> Archive<'a> {
    /// Reads the directory, and checks the place of every entry.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let (count, directory) = find_directory(bytes)?;
        if directory.len() > LONGEST_DIRECTORY {
            return Err(format!("its directory has {} bytes, more than {LONGEST_DIRECTORY}", directory.len()));
        }
        // Every entry takes space in the directory, so that the number asks for no more memory.
        let mut entries = HashMap::with_capacity(count.min(directory.len() / ENTRY_LENGTH));
        let mut spans = Vec::with_capacity(entries.capacity());
        let mut rest = &bytes[directory.clone()];
        for number in 0..count {
            let entry = next_entry(&mut rest)
                .map_err(|reason| format!("entry {number} of its directory of {count} {reason}"))?;
            let place = entry.place(bytes, directory.start)?;
            spans.push((entry.header..place.end, entry.name));
            if entries.insert(entry.name, place).is_some() {
                return Err(format!("entry `{}` is there twice; {DAMAGED}", shown(entry.name)));
            }
        }
        spans.sort_by_key(|(span, _)| span.start);
        if let Some([(_, one), (_, other)]) = spans.array_windows().find(|[(one, _), (other, _)]| one.end > other.start)
        {
            return Err(format!("the entries `{}` and `{}` overlap; {DAMAGED}", shown(one), shown(other)));
        }
        let roots = entries.keys().filter_map(|name| name.strip_suffix("/data.pkl"));
        let mut roots = roots.filter(|root| !root.contains('/'));
        match (roots.next(), roots.next()) {
            (Some(root), None) => Ok(Self { root, entries, file_length: bytes.len() }),
            (None, _) => Err(format!("it is a zip file without the entry `data.pkl` of `torch.save`; {CONVERT}")),
            (Some(_), Some(_)) => Err(format!("it has several entries `data.pkl`; `torch.save` writes one. {DAMAGED}")),
        }
    }

    /// Returns the place of an entry, by its name in the folder of all.
    pub(super) fn entry(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(&*self.name(name)).cloned()
    }

    /// Returns the whole name of an entry.
    pub(super) fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }
}

impl Storages for Archive<'_> {
    fn place(&self, key: &str) -> Option<Range<usize>> {
        self.entry(&format!("data/{key}"))
    }

    fn name(&self, key: &str) -> String {
        format!("entry `{}`", shown(&self.name(&format!("data/{key}"))))
    }

    fn file_length(&self) -> usize {
        self.file_length
    }
}

impl Entry<'_> {
    /// Returns the place of its bytes, in front of the directory.
    fn place(&self, bytes: &[u8], directory: usize) -> Result<Range<usize>, String> {
        let Self { name, header, length } = *self;
        let beyond = || format!("entry `{}` lies beyond the end of the file; {DAMAGED}", shown(name));
        let local = bytes.get(header..).and_then(|local| local.get(..LOCAL_LENGTH)).ok_or_else(beyond)?;
        let [name_length, extra] = [26, 28].map(|at| number::<2>(local, at).expect("within the header"));
        let end_of_name = header + LOCAL_LENGTH + name_length;
        let local_name = bytes.get(header + LOCAL_LENGTH..end_of_name).ok_or_else(beyond)?;
        if number::<4>(local, 0) != Some(LOCAL) || local_name != name.as_bytes() {
            return Err(format!("the directory places entry `{}` where another thing is; {DAMAGED}", shown(name)));
        }
        let start = end_of_name + extra;
        let end = start.checked_add(length).filter(|end| *end <= directory).ok_or_else(beyond)?;
        Ok(start..end)
    }
}

/// Returns the number of entries and the place of the directory.
fn find_directory(bytes: &[u8]) -> Result<(usize, Range<usize>), String> {
    let cut = || format!("it does not end with the directory of a zip file; {DAMAGED}");
    let last = bytes.len().checked_sub(END_LENGTH).ok_or_else(cut)?;
    let is_end = |at: &usize| {
        number::<4>(bytes, *at) == Some(END) && number::<2>(bytes, at + 20) == Some(bytes.len() - at - END_LENGTH)
    };
    let end = (last.saturating_sub(LONGEST_COMMENT)..=last).rev().find(is_end).ok_or_else(cut)?;
    let locator = end.checked_sub(LOCATOR_64_LENGTH).filter(|at| number::<4>(bytes, *at) == Some(LOCATOR_64));
    let (record, count, length, start) = match locator {
        Some(locator) => {
            let record = number::<8>(bytes, locator + 8).filter(|at| number::<4>(bytes, *at) == Some(END_64));
            let record = record.ok_or_else(cut)?;
            let [count, length, start] = [32, 40, 48].map(|at| number::<8>(bytes, record.saturating_add(at)));
            (record, count, length, start)
        }
        None => (end, number::<2>(bytes, end + 10), number::<4>(bytes, end + 12), number::<4>(bytes, end + 16)),
    };
    let (count, length, start) = (count.ok_or_else(cut)?, length.ok_or_else(cut)?, start.ok_or_else(cut)?);
    match start.checked_add(length) {
        Some(end) if end <= record => Ok((count, start..end)),
        _ => Err(format!("its directory lies beyond its end; {DAMAGED}")),
    }
}

/// Reads an entry of the directory, and removes it from the front of `rest`.
fn next_entry<'a>(rest: &mut &'a [u8]) -> Result<Entry<'a>, String> {
    let bytes = *rest;
    let cut = || format!("is cut short; {DAMAGED}");
    if number::<4>(bytes, 0) != Some(ENTRY) || bytes.len() < ENTRY_LENGTH {
        return Err(cut());
    }
    let [flags, method, name_length, extra_length, comment_length] =
        [8, 10, 28, 30, 32].map(|at| number::<2>(bytes, at).expect("within the entry"));
    let [compressed, length, header] = [20, 24, 42].map(|at| number::<4>(bytes, at).expect("within the entry"));
    let name_end = ENTRY_LENGTH + name_length;
    let name = bytes.get(ENTRY_LENGTH..name_end).ok_or_else(cut)?;
    let name = std::str::from_utf8(name).map_err(|_| format!("has a name that is not UTF-8; {DAMAGED}"))?;
    let extra = bytes.get(name_end..name_end + extra_length).ok_or_else(cut)?;
    *rest = bytes.get(name_end + extra_length + comment_length..).ok_or_else(cut)?;
    let mut wide = extra_64(extra);
    let mut widened = |number: usize| match number {
        0xffff_ffff => wide.next().ok_or_else(cut),
        number => Ok(number),
    };
    let (length, compressed, header) = (widened(length)?, widened(compressed)?, widened(header)?);
    if method != 0 || flags & 1 != 0 || compressed != length {
        let what = if flags & 1 != 0 { "encrypted" } else { "compressed" };
        return Err(format!("(`{}`) is {what}; `torch.save` stores entries as they are. {CONVERT}", shown(name)));
    }
    Ok(Entry { name, header, length })
}

/// Returns the numbers of 64 bits in the extra fields of an entry.
fn extra_64(mut extra: &[u8]) -> impl Iterator<Item = usize> {
    let mut numbers: &[u8] = &[];
    while let (Some(kind), Some(length)) = (number::<2>(extra, 0), number::<2>(extra, 2)) {
        let Some(field) = extra.get(4..4 + length) else { break };
        if kind == EXTRA_64 {
            numbers = field;
            break;
        }
        extra = &extra[4 + length..];
    }
    numbers.as_chunks::<8>().0.iter().map_while(|bytes| usize::try_from(u64::from_le_bytes(*bytes)).ok())
}

/// Returns the number of `N` bytes at a place, if the bytes reach that far.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk::<N>()?;
    usize::try_from(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))).ok()
}
