//! The tables of `System.Text.Normalization`: properties, mappings and combining classes of characters. They are facts taken from Mono, whose
//! class library looks into them: `normalization/extract.cs`, run under `mono`, prints `normalization/tables.txt`.

use super::{InternalCall, icall};
use std::sync::LazyLock;

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::read(include_str!("normalization/tables.txt")));

/// The tables in the order and with the elements that `load_normalization_resource` gives.
struct Tables {
    props: Vec<u8>,
    mapped_chars: Vec<i32>,
    char_map_index: Vec<i16>,
    helper_index: Vec<i16>,
    composites: Vec<u16>,
    combining_class: Vec<u8>,
}

impl Tables {
    fn read(text: &str) -> Tables {
        let mut lines = text.lines();
        let mut next = || lines.next().unwrap_or_default();
        Tables {
            props: elements(next()),
            mapped_chars: elements(next()),
            char_map_index: elements(next()),
            helper_index: elements(next()),
            composites: elements(next()),
            combining_class: elements(next()),
        }
    }
}

/// The elements of a line: values, or a value, `*` and how often it stands there.
fn elements<T: TryFrom<i32> + Default + Copy>(line: &str) -> Vec<T> {
    let number = |text: &str| text.parse::<i32>().unwrap_or_default();
    let mut all = Vec::new();
    for run in line.split(' ') {
        let (value, times) = run.split_once('*').unwrap_or((run, "1"));
        let value = T::try_from(number(value)).unwrap_or_default();
        all.resize(all.len() + number(times) as usize, value);
    }
    all
}

extern "C" fn load_tables(
    props: *mut *const u8,
    mapped_chars: *mut *const i32,
    char_map_index: *mut *const i16,
    helper_index: *mut *const i16,
    composites: *mut *const u16,
    combining_class: *mut *const u8,
) {
    let tables = &*TABLES;
    // SAFETY: the caller passes the addresses of six variables.
    unsafe {
        props.write(tables.props.as_ptr());
        mapped_chars.write(tables.mapped_chars.as_ptr());
        char_map_index.write(tables.char_map_index.as_ptr());
        helper_index.write(tables.helper_index.as_ptr());
        composites.write(tables.composites.as_ptr());
        combining_class.write(tables.combining_class.as_ptr());
    }
}

pub(super) const TABLE: &[InternalCall] = &[icall(
    "System.Text.Normalization:load_normalization_resource (intptr&,intptr&,intptr&,intptr&,intptr&,intptr&)",
    load_tables as *const (),
)];

#[cfg(test)]
mod tests {
    use super::*;

    /// As many elements as the class library's indexers can ask for, and mappings as far as an index leads.
    #[test]
    fn tables_are_complete() {
        let tables = &*TABLES;
        assert_eq!(tables.mapped_chars.last(), Some(&0));
        let longest = tables.char_map_index.iter().chain(&tables.helper_index).max().copied().unwrap_or_default();
        assert!((longest as usize) < tables.mapped_chars.len());
        for (table, length) in [
            (tables.props.len(), 10160),
            (tables.char_map_index.len(), 8752),
            (tables.helper_index.len(), 27296),
            (tables.composites.len(), 6320),
            (tables.combining_class.len(), 1408),
        ] {
            assert_eq!(table, length);
        }
    }
}
