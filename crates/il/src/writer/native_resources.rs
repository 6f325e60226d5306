//! The resource section: icons, version information and the like, in a tree of three levels: kind, number, language (Microsoft Portable
//! Executable and Common Object File Format, section 6.9).

use super::{push_u16s, push_u32s};
use std::collections::BTreeMap;

/// A resource of the operating system.
#[derive(Clone, Debug)]
pub struct NativeResource {
    /// Number of the kind, such as 16 for version information.
    pub kind: u32,
    /// Which of its kind.
    pub number: u32,
    /// For which language.
    pub language: u32,
    /// The contents.
    pub data: Vec<u8>,
}

/// Set in an entry that leads to another directory.
const SUBDIRECTORY: u32 = 0x8000_0000;
const HEADER_SIZE: u32 = 16;
const ENTRY_SIZE: u32 = 8;
/// Size of what tells a resource's address and size.
const DATA_ENTRY_SIZE: u32 = 16;

fn directory_size(entries: usize) -> u32 {
    HEADER_SIZE + ENTRY_SIZE * entries as u32
}

/// A directory whose entries have numbers, not names.
fn push_directory(section: &mut Vec<u8>, entries: impl ExactSizeIterator<Item = (u32, u32)>) {
    push_u32s(section, &[0, 0, 0]);
    push_u16s(section, &[0, entries.len() as u16]);
    entries.for_each(|(number, target)| push_u32s(section, &[number, target]));
}

/// The section, for an address that it will have: all directories, then where the contents lie, then the contents. Of resources for which
/// kind, number and language are the same, the first one counts: a directory names each once.
pub(super) fn encode(resources: &[NativeResource], section_rva: u32) -> Vec<u8> {
    let mut tree: BTreeMap<u32, BTreeMap<u32, BTreeMap<u32, &[u8]>>> = BTreeMap::new();
    for resource in resources {
        let languages = tree.entry(resource.kind).or_default().entry(resource.number).or_default();
        languages.entry(resource.language).or_insert(&resource.data);
    }
    // Directories of one level lie together, so that those of the next have their addresses once the sizes before them are known.
    let mut next = directory_size(tree.len());
    let mut take = |size: u32| {
        next += size;
        next - size
    };
    let mut section = Vec::new();
    let kinds: Vec<_> = tree.iter().map(|(&kind, numbers)| (kind, take(directory_size(numbers.len())) | SUBDIRECTORY)).collect();
    push_directory(&mut section, kinds.into_iter());
    for numbers in tree.values() {
        let entries: Vec<_> =
            numbers.iter().map(|(&number, languages)| (number, take(directory_size(languages.len())) | SUBDIRECTORY)).collect();
        push_directory(&mut section, entries.into_iter());
    }
    let leaves = || tree.values().flat_map(BTreeMap::values);
    for languages in leaves() {
        let entries: Vec<_> = languages.keys().map(|&language| (language, take(DATA_ENTRY_SIZE))).collect();
        push_directory(&mut section, entries.into_iter());
    }
    for data in leaves().flat_map(BTreeMap::values) {
        let size = data.len() as u32;
        push_u32s(&mut section, &[section_rva + take(size.next_multiple_of(4)), size, 0, 0]);
    }
    for data in leaves().flat_map(BTreeMap::values) {
        section.extend(*data);
        section.resize(section.len().next_multiple_of(4), 0);
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::ImageWriter;

    #[test]
    fn resources_of_all_levels_are_found() {
        let resource = |kind, number, language, data: &[u8]| NativeResource { kind, number, language, data: data.to_vec() };
        let mut writer = ImageWriter::new("resources.dll");
        writer.native_resources.push(resource(24, 1, 0, b"manifest"));
        writer.native_resources.push(resource(3, 2, 0x409, b"odd"));
        writer.native_resources.push(resource(3, 2, 0x407, b"icon"));
        writer.native_resources.push(resource(3, 2, 0x407, b"again"));
        let file = writer.finish();
        let word = |position: usize| u32::from_le_bytes(file[position..position + 4].try_into().unwrap());
        let half = |position: usize| u16::from_le_bytes(file[position..position + 2].try_into().unwrap());
        let header = word(0x3c) as usize;
        assert_eq!(half(header + 6), 2);
        let section = header + 24 + half(header + 20) as usize + 40;
        assert_eq!(&file[section..section + 6], b".rsrc\0");
        let (address, offset) = (word(section + 12), word(section + 20) as usize);
        assert_eq!((word(header + 24 + 112), word(header + 24 + 116)), (address, word(section + 8)));
        let mut found = Vec::new();
        let entries = |directory: usize| {
            let entry = move |index: usize| directory + 16 + 8 * index;
            (0..half(directory + 14) as usize)
                .map(move |index| (word(entry(index)), offset + (word(entry(index) + 4) & !SUBDIRECTORY) as usize))
        };
        for (kind, numbers) in entries(offset) {
            for (number, languages) in entries(numbers) {
                for (language, data) in entries(languages) {
                    let start = (word(data) - address) as usize + offset;
                    found.push((kind, number, language, &file[start..start + word(data + 4) as usize]));
                }
            }
        }
        let expected: [(u32, u32, u32, &[u8]); 3] = [(3, 2, 0x407, b"icon"), (3, 2, 0x409, b"odd"), (24, 1, 0, b"manifest")];
        assert_eq!(found, expected);
    }
}
