//! Tests on the installed core library.

use super::*;
use crate::error::ErrorKind;
use crate::resolve::DEFAULT_FRAMEWORK;

fn system(layout: DataLayout) -> Option<TypeSystem> {
    let framework = Path::new(DEFAULT_FRAMEWORK);
    framework.join("mscorlib.dll").is_file().then(|| TypeSystem::new(layout, AssemblyResolver::new(framework)).unwrap())
}

fn find(ts: &TypeSystem, namespace: &str, name: &str) -> TypeId {
    ts.find_type(ts.corlib(), namespace, name).unwrap().unwrap()
}

fn generic(ts: &TypeSystem, name: &str, args: &[TypeId]) -> TypeId {
    ts.instance(find(ts, "System.Collections.Generic", name), args)
}

fn method(ts: &TypeSystem, t: TypeId, name: &str) -> MethodId {
    ts.find_method(t, name, None).unwrap().unwrap()
}

#[test]
fn long_is_aligned_as_the_target_wants() {
    let expected = [(DataLayout::AMD64, 8, 16, 8), (DataLayout::X86, 4, 12, 4), (DataLayout::ARM, 8, 16, 8)];
    for (layout, second_offset, size, align) in expected {
        let Some(ts) = system(layout) else { return };
        let pair = generic(&ts, "KeyValuePair`2", &[TypeId::I4, TypeId::I8]);
        let offsets: Vec<u32> = ts.instance_fields(pair).unwrap().map(|(_, offset)| offset).collect();
        assert_eq!(offsets, [0, second_offset], "{}", layout.name);
        assert_eq!(ts.storage(pair).unwrap(), Storage::Struct { size, align }, "{}", layout.name);
        assert_eq!(ts.flattened_fields(pair).unwrap(), [(0, Storage::I4), (second_offset, Storage::I8)]);
    }
}

#[test]
fn strings_and_boxes_have_the_fixed_layout() {
    for layout in [DataLayout::AMD64, DataLayout::X86, DataLayout::ARM] {
        let Some(ts) = system(layout) else { return };
        let objects = layout.object();
        let offsets: Vec<u32> = ts.instance_fields(TypeId::STRING).unwrap().map(|(_, offset)| offset).collect();
        assert_eq!(offsets, [objects.length(), objects.string_chars()], "{}", layout.name);
        assert_eq!(ts.class(TypeId::STRING).unwrap().instance_size, objects.string_chars() + 2);
        let boxed = ts.class(TypeId::I4).unwrap();
        assert_eq!(boxed.instance_size, layout.object().boxed_payload() + layout.pointer_bytes.max(4));
        assert_eq!(ts.class(TypeId::OBJECT).unwrap().fields_end, objects.first_field());
    }
}

#[test]
fn references_are_found_in_nested_value_types() {
    let Some(ts) = system(DataLayout::AMD64) else { return };
    let inner = generic(&ts, "KeyValuePair`2", &[TypeId::I4, TypeId::STRING]);
    let outer = generic(&ts, "KeyValuePair`2", &[TypeId::OBJECT, inner]);
    assert_eq!(*ts.class(outer).unwrap().reference_offsets, [0, 16]);
    assert!(ts.class(ts.sz_array(outer)).unwrap().contains_references);
    assert!(!ts.class(ts.sz_array(TypeId::R8)).unwrap().contains_references);
}

#[test]
fn built_in_types_are_their_classes() {
    let Some(ts) = system(DataLayout::X86) else { return };
    assert_eq!(find(&ts, "System", "Int32"), TypeId::I4);
    assert_eq!(find(&ts, "System", "TypedReference"), TypeId::TYPED_REFERENCE);
    assert_eq!(ts.well_known().string, TypeId::STRING);
    assert_eq!(ts.enum_underlying(find(&ts, "System", "DayOfWeek")).unwrap(), TypeId::I4);
    assert_eq!(ts.storage(find(&ts, "System", "DayOfWeek")).unwrap(), Storage::I4);
}

#[test]
fn casts_follow_variance_and_array_covariance() {
    let Some(ts) = system(DataLayout::AMD64) else { return };
    let enumerable = |t| generic(&ts, "IEnumerable`1", &[t]);
    let comparer = |t| generic(&ts, "IComparer`1", &[t]);
    let list = |t| generic(&ts, "List`1", &[t]);
    let (object, string) = (TypeId::OBJECT, TypeId::STRING);
    let day = find(&ts, "System", "DayOfWeek");
    let cases = [
        (list(string), enumerable(object), true),
        (list(object), enumerable(string), false),
        (list(TypeId::I4), enumerable(object), false),
        (comparer(object), comparer(string), true),
        (comparer(string), comparer(object), false),
        (ts.sz_array(string), ts.sz_array(object), true),
        (ts.sz_array(TypeId::I4), ts.sz_array(TypeId::U4), true),
        (ts.sz_array(day), ts.sz_array(TypeId::I4), true),
        (ts.sz_array(TypeId::I4), ts.sz_array(TypeId::R4), false),
        (ts.sz_array(TypeId::I4), ts.sz_array(object), false),
        (ts.sz_array(string), generic(&ts, "IList`1", &[object]), true),
        (ts.sz_array(string), ts.array(object, 1), false),
        (TypeId::I4, ts.instance(ts.well_known().nullable, &[TypeId::I4]), true),
        (TypeId::I4, ts.well_known().value_type, true),
        (ts.array(string, 2), ts.well_known().array, true),
    ];
    for (from, to, expected) in cases {
        assert_eq!(ts.is_assignable(from, to).unwrap(), expected, "{} to {}", ts.type_name(from), ts.type_name(to));
    }
}

#[test]
fn interface_methods_of_arrays_and_through_variance() {
    let Some(ts) = system(DataLayout::AMD64) else { return };
    let strings = ts.sz_array(TypeId::STRING);
    let list_of_object = generic(&ts, "IList`1", &[TypeId::OBJECT]);
    let found = ts.resolve_interface_method(strings, method(&ts, list_of_object, "get_Item")).unwrap();
    assert_eq!(ts.method_full_name(found), "System.Array:InternalArray__get_Item<object> (int)");
    let count = method(&ts, generic(&ts, "ICollection`1", &[TypeId::STRING]), "get_Count");
    let found = ts.resolve_interface_method(strings, count).unwrap();
    assert_eq!(ts.method_full_name(found), "System.Array:InternalArray__ICollection_get_Count ()");

    let list = generic(&ts, "List`1", &[TypeId::STRING]);
    let enumerator = method(&ts, generic(&ts, "IEnumerable`1", &[TypeId::OBJECT]), "GetEnumerator");
    let found = ts.resolve_virtual(list, enumerator).unwrap();
    assert_eq!(ts.method(found).owner, list);
    assert_eq!(ts.method_name(found), "System.Collections.Generic.IEnumerable<T>.GetEnumerator");
}

#[test]
fn virtual_calls_reach_the_latest_override() {
    let Some(ts) = system(DataLayout::AMD64) else { return };
    let to_string = ts.find_method(TypeId::OBJECT, "ToString", Some(&[])).unwrap().unwrap();
    for (t, owner) in [(TypeId::I4, TypeId::I4), (TypeId::STRING, TypeId::STRING), (ts.well_known().array, TypeId::OBJECT)] {
        assert_eq!(ts.method(ts.resolve_virtual(t, to_string).unwrap()).owner, owner);
    }
    let comparer = generic(&ts, "Comparer`1", &[TypeId::STRING]);
    assert_eq!(ts.vtable(comparer).unwrap().slots.len(), ts.vtable(ts.generic_definition_type(comparer)).unwrap().slots.len());
}

#[test]
fn sharing_replaces_reference_arguments() {
    let Some(ts) = system(DataLayout::AMD64) else { return };
    let pair = |a, b| generic(&ts, "KeyValuePair`2", &[a, b]);
    let list = |t| generic(&ts, "List`1", &[t]);
    assert_eq!(ts.canonical_type(list(TypeId::STRING)), list(TypeId::CANON));
    assert_eq!(ts.canonical_type(list(TypeId::I4)), list(TypeId::I4));
    assert_eq!(ts.canonical_type(list(pair(TypeId::I4, TypeId::STRING))), list(pair(TypeId::I4, TypeId::CANON)));
    let add = method(&ts, list(TypeId::STRING), "Add");
    let shared = ts.canonical_method(add);
    assert!(ts.is_shared(shared) && !ts.is_shared(add));
    assert_eq!(ts.canonical_method(method(&ts, list(TypeId::OBJECT), "Add")), shared);
    assert_eq!(*ts.method_signature(shared).unwrap().params, [TypeId::CANON]);
}

#[test]
fn names_are_monos() {
    let Some(ts) = system(DataLayout::AMD64) else { return };
    let array = ts.well_known().array;
    let get = method(&ts, array, "GetGenericValueImpl");
    assert_eq!(ts.method_full_name(get), "System.Array:GetGenericValueImpl<T> (int,T&)");
    let dictionary = generic(&ts, "Dictionary`2", &[TypeId::STRING, ts.sz_array(TypeId::U1)]);
    assert_eq!(ts.type_name(dictionary), "System.Collections.Generic.Dictionary`2<string, byte[]>");
    let nested = ts.nested_type(find(&ts, "System", "Environment"), "SpecialFolder").unwrap();
    assert_eq!(ts.type_name(nested), "System.Environment/SpecialFolder");
    assert_eq!(ts.reflection_name(nested), "System.Environment+SpecialFolder");
}

#[test]
fn endless_nesting_is_a_type_load_error() {
    let Some(ts) = system(DataLayout::AMD64) else { return };
    let list = find(&ts, "System.Collections.Generic", "List`1");
    let deep = (0..=NESTING_LIMIT).fold(TypeId::I4, |t, _| ts.instance(list, &[t]));
    assert_eq!(ts.class(deep).unwrap_err().kind(), ErrorKind::TypeLoad);
}

#[test]
fn interface_slots_do_not_depend_on_the_instance() {
    let Some(ts) = system(DataLayout::AMD64) else { return };
    let slot = |t| ts.imt_slot(method(&ts, generic(&ts, "IList`1", &[t]), "get_Item"));
    assert_eq!(slot(TypeId::STRING), slot(TypeId::I4));
    assert!(slot(TypeId::OBJECT) < INTERFACE_SLOTS);
}

#[test]
fn threads_agree_on_what_they_load() {
    let Some(ts) = system(DataLayout::AMD64) else { return };
    let load = || {
        let rows = ts.metadata(ts.corlib()).row_numbers(crate::tables::TableId::TypeDef);
        let types = rows.map(|row| ts.type_definition(ts.corlib(), row));
        let slots = types.flat_map(|t| {
            ts.class(t).unwrap();
            ts.vtable(t).unwrap().slots.to_vec()
        });
        slots.collect::<Vec<MethodId>>()
    };
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(load);
        (load(), other.join().unwrap())
    });
    assert!(first == second);
}
