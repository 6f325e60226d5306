//! From a row to the rows that belong to it: lists owned by a row, and rows found by a key column.
//!
//! Tables that the standard wants sorted are searched by bisection if they say so, and otherwise from end to end.

use std::ops::Range;

use super::{
    ClassLayoutRow, CodedIndex, ColumnKind, ConstantRow, FieldLayoutRow, FieldMarshalRow, FieldRvaRow, GenericParamConstraintRow,
    GenericParamRow, ImplMapRow, InterfaceImplRow, Metadata, MethodImplRow, MethodSemanticsRow, NestedClassRow, Row, SCHEMA,
    TableId, Token,
};
use crate::error::Result;

/// The table that orders this one in an uncompressed stream.
pub(super) fn pointer_table(table: TableId) -> Option<TableId> {
    Some(match table {
        TableId::Field => TableId::FieldPtr,
        TableId::MethodDef => TableId::MethodPtr,
        TableId::Param => TableId::ParamPtr,
        TableId::Event => TableId::EventPtr,
        TableId::Property => TableId::PropertyPtr,
        _ => return None,
    })
}

/// Rows of a table that belong to one owner, as one-based row numbers.
#[derive(Clone, Debug)]
pub struct RowList<'a> {
    metadata: &'a Metadata,
    positions: Range<u32>,
    pointers: Option<TableId>,
}

impl RowList<'_> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The row at a position from 0.
    pub fn get(&self, index: u32) -> Option<u32> {
        let position = self.positions.start.checked_add(index)?;
        (position < self.positions.end).then(|| self.row_at(position))
    }

    /// The first row and the one behind the last, if the rows stand in the table in this order (they do unless the file has
    /// pointer tables).
    pub fn as_range(&self) -> Option<Range<u32>> {
        self.pointers.is_none().then(|| self.positions.clone())
    }

    fn row_at(&self, position: u32) -> u32 {
        match self.pointers {
            None => position,
            Some(table) => self.metadata.raw_cell(table, position, 0).unwrap_or(0),
        }
    }
}

impl Iterator for RowList<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let position = self.positions.next()?;
        Some(self.row_at(position))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.positions.size_hint()
    }
}

impl ExactSizeIterator for RowList<'_> {}

impl Metadata {
    /// Rows in Field of a row in TypeDef.
    pub fn fields_of(&self, type_def: u32) -> RowList<'_> {
        self.list(TableId::TypeDef, type_def, 4, TableId::Field)
    }

    /// Rows in MethodDef of a row in TypeDef.
    pub fn methods_of(&self, type_def: u32) -> RowList<'_> {
        self.list(TableId::TypeDef, type_def, 5, TableId::MethodDef)
    }

    /// Rows in Param of a row in MethodDef.
    pub fn params_of(&self, method_def: u32) -> RowList<'_> {
        self.list(TableId::MethodDef, method_def, 5, TableId::Param)
    }

    /// Rows in Event of a row in TypeDef.
    pub fn events_of(&self, type_def: u32) -> RowList<'_> {
        let map = self.find_first(TableId::EventMap, 0, type_def).unwrap_or(0);
        self.list(TableId::EventMap, map, 1, TableId::Event)
    }

    /// Rows in Property of a row in TypeDef.
    pub fn properties_of(&self, type_def: u32) -> RowList<'_> {
        let map = self.find_first(TableId::PropertyMap, 0, type_def).unwrap_or(0);
        self.list(TableId::PropertyMap, map, 1, TableId::Property)
    }

    /// The row in TypeDef that declares a field, 0 if none does.
    pub fn owner_of_field(&self, field: u32) -> u32 {
        self.list_owner(TableId::TypeDef, 4, TableId::Field, field)
    }

    /// The row in TypeDef that declares a method, 0 if none does.
    pub fn owner_of_method(&self, method_def: u32) -> u32 {
        self.list_owner(TableId::TypeDef, 5, TableId::MethodDef, method_def)
    }

    /// The row in MethodDef that declares a parameter, 0 if none does.
    pub fn owner_of_param(&self, param: u32) -> u32 {
        self.list_owner(TableId::MethodDef, 5, TableId::Param, param)
    }

    /// The row in TypeDef that declares an event, 0 if none does.
    pub fn owner_of_event(&self, event: u32) -> u32 {
        let map = self.list_owner(TableId::EventMap, 1, TableId::Event, event);
        self.raw_cell(TableId::EventMap, map, 0).unwrap_or(0)
    }

    /// The row in TypeDef that declares a property, 0 if none does.
    pub fn owner_of_property(&self, property: u32) -> u32 {
        let map = self.list_owner(TableId::PropertyMap, 1, TableId::Property, property);
        self.raw_cell(TableId::PropertyMap, map, 0).unwrap_or(0)
    }

    /// Explicit size and packing of a row in TypeDef.
    pub fn class_layout(&self, type_def: u32) -> Option<ClassLayoutRow> {
        self.find_row(2, type_def)
    }

    /// Explicit offset in bytes of a row in Field.
    pub fn field_offset(&self, field: u32) -> Option<u32> {
        self.find_row::<FieldLayoutRow>(1, field).map(|row| row.offset)
    }

    /// Address of the initial data of a row in Field.
    pub fn field_rva(&self, field: u32) -> Option<u32> {
        self.find_row::<FieldRvaRow>(1, field).map(|row| row.rva)
    }

    /// Constant of a Field, Param or Property.
    pub fn constant(&self, parent: Token) -> Option<ConstantRow> {
        self.find_row(1, coded_value(CodedIndex::HasConstant, parent)?)
    }

    /// Marshalling of a Field or Param.
    pub fn field_marshal(&self, parent: Token) -> Option<FieldMarshalRow> {
        self.find_row(0, coded_value(CodedIndex::HasFieldMarshal, parent)?)
    }

    /// Native implementation of a MethodDef (or Field).
    pub fn impl_map(&self, member: Token) -> Option<ImplMapRow> {
        self.find_row(1, coded_value(CodedIndex::MemberForwarded, member)?)
    }

    /// Rows in CustomAttribute on anything.
    pub fn custom_attributes_of(&self, parent: Token) -> KeyedRows<'_> {
        self.find_coded(TableId::CustomAttribute, 0, parent)
    }

    /// Rows in DeclSecurity on a TypeDef, MethodDef or Assembly.
    pub fn declarative_security_of(&self, parent: Token) -> KeyedRows<'_> {
        self.find_coded(TableId::DeclSecurity, 1, parent)
    }

    /// Row in TypeDef of the type around a nested one.
    pub fn enclosing_type(&self, type_def: u32) -> Option<u32> {
        self.find_row::<NestedClassRow>(0, type_def).map(|row| row.enclosing)
    }

    /// Rows in TypeDef of the types within a type. Reads the whole table: it is sorted by the inner type.
    pub fn nested_types(&self, enclosing: u32) -> impl Iterator<Item = u32> {
        self.rows::<NestedClassRow>().filter(move |(_, row)| row.enclosing == enclosing).map(|(_, row)| row.nested)
    }

    /// Interfaces (TypeDef, TypeRef or TypeSpec) that a row in TypeDef declares, in order.
    pub fn interfaces_of(&self, type_def: u32) -> impl Iterator<Item = Token> {
        self.find_all(TableId::InterfaceImpl, 0, type_def)
            .filter_map(|row| self.row::<InterfaceImplRow>(row).ok())
            .map(|row| row.interface)
    }

    /// Explicit overrides of a row in TypeDef.
    pub fn method_impls_of(&self, type_def: u32) -> impl Iterator<Item = MethodImplRow> {
        self.find_all(TableId::MethodImpl, 0, type_def).filter_map(|row| self.row(row).ok())
    }

    /// Generic parameters of a TypeDef or MethodDef, with their rows, in the order of the table.
    pub fn generic_params_of(&self, owner: Token) -> impl Iterator<Item = (u32, GenericParamRow)> {
        self.find_coded(TableId::GenericParam, 2, owner).filter_map(|row| Some((row, self.row(row).ok()?)))
    }

    /// Number of generic parameters of a TypeDef or MethodDef.
    pub fn generic_param_count(&self, owner: Token) -> u32 {
        self.find_coded(TableId::GenericParam, 2, owner).count() as u32
    }

    /// Constraints (TypeDef, TypeRef or TypeSpec) of a row in GenericParam.
    pub fn generic_param_constraints(&self, generic_param: u32) -> impl Iterator<Item = Token> {
        self.find_all(TableId::GenericParamConstraint, 0, generic_param)
            .filter_map(|row| self.row::<GenericParamConstraintRow>(row).ok())
            .map(|row| row.constraint)
    }

    /// Methods of an Event or Property.
    pub fn method_semantics_of(&self, association: Token) -> impl Iterator<Item = MethodSemanticsRow> {
        self.find_coded(TableId::MethodSemantics, 2, association).filter_map(|row| self.row(row).ok())
    }

    /// The list that starts at `column` of an owner's row and ends where the next owner's starts.
    fn list(&self, owner: TableId, row: u32, column: usize, table: TableId) -> RowList<'_> {
        let pointers = pointer_table(table).filter(|pointers| self.row_count(*pointers) != 0);
        let end_of_table = self.row_count(pointers.unwrap_or(table)) + 1;
        let positions = match self.raw_cell(owner, row, column) {
            Some(start) => {
                let end = self.raw_cell(owner, row + 1, column).unwrap_or(end_of_table).min(end_of_table);
                // Row 0 is none; an end before the start (from a broken file) makes the list empty.
                let start = start.max(1);
                start..end.max(start)
            }
            None => 1..1,
        };
        RowList { metadata: self, positions, pointers }
    }

    /// The owner in whose list a row stands, by bisection over the starts of the lists; 0 if none.
    fn list_owner(&self, owner: TableId, column: usize, table: TableId, row: u32) -> u32 {
        let pointers = pointer_table(table).filter(|pointers| self.row_count(*pointers) != 0);
        let position = match pointers {
            None => row,
            Some(pointers) => {
                self.row_numbers(pointers).find(|position| self.raw_cell(pointers, *position, 0) == Some(row)).unwrap_or(0)
            }
        };
        if position == 0 || position > self.row_count(pointers.unwrap_or(table)) {
            return 0;
        }
        // The owner is the last row whose list starts at or before the position.
        partition_point(1..self.row_count(owner) + 1, |owner_row| {
            self.raw_cell(owner, owner_row, column).is_some_and(|start| start <= position)
        }) - 1
    }

    /// The first row whose key column has this value.
    fn find_first(&self, table: TableId, column: usize, key: u32) -> Option<u32> {
        self.find_all(table, column, key).next()
    }

    fn find_row<R: Row>(&self, column: usize, key: u32) -> Option<R> {
        let row = self.find_first(R::TABLE, column, key)?;
        let found: Result<R> = self.row(row);
        found.ok()
    }

    fn find_coded(&self, table: TableId, column: usize, key: Token) -> KeyedRows<'_> {
        let ColumnKind::Coded(family) = SCHEMA[table as usize][column] else {
            return self.no_rows(table, column);
        };
        match coded_value(family, key) {
            Some(key) => self.find_all(table, column, key),
            None => self.no_rows(table, column),
        }
    }

    fn no_rows(&self, table: TableId, column: usize) -> KeyedRows<'_> {
        KeyedRows { metadata: self, table, column, key: 0, rows: 1..1, is_sorted: true }
    }

    /// All rows whose key column has this value, in the table's order.
    fn find_all(&self, table: TableId, column: usize, key: u32) -> KeyedRows<'_> {
        let all = self.row_numbers(table);
        let is_sorted = self.tables[table as usize].is_sorted;
        let rows = if is_sorted {
            let first = partition_point(all.clone(), |row| self.raw_cell(table, row, column).is_some_and(|cell| cell < key));
            first..all.end
        } else {
            all
        };
        KeyedRows { metadata: self, table, column, key, rows, is_sorted }
    }
}

/// Rows of a table with one key, found one after the other.
#[derive(Clone, Debug)]
pub struct KeyedRows<'a> {
    metadata: &'a Metadata,
    table: TableId,
    column: usize,
    key: u32,
    rows: Range<u32>,
    is_sorted: bool,
}

impl Iterator for KeyedRows<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let row = self.rows.next()?;
            if self.metadata.raw_cell(self.table, row, self.column) == Some(self.key) {
                return Some(row);
            }
            if self.is_sorted {
                self.rows = 1..1;
            }
        }
    }
}

/// The first row of a range for which the predicate is false, given that it is true before and false after it.
fn partition_point(range: Range<u32>, is_before: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// A token as the raw value of a coded index.
fn coded_value(family: CodedIndex, token: Token) -> Option<u32> {
    if token.is_null() {
        return None;
    }
    let tag = family.tags().iter().position(|number| *number == token.table_number())?;
    Some(token.row() << family.tag_bits() | tag as u32)
}
