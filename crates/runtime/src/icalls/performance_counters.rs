//! `System.Diagnostics.PerformanceCounter` and its categories: a few of Mono's own categories, and those that programs make, which end with the
//! process. A counter of another category stands at 0.

use super::environment::monotonic_100ns;
use super::native_text::{counted_units, string_array};
use super::{InternalCall, icall, raising};
use super::{processes, thread_pool};
use crate::exceptions::Result;
use crate::named_fields::Fields;
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::options;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};

/// `PerformanceCounterType` of the counters here, and of one that is not known (`NumberOfItemsHEX32`).
const ITEMS_32: i32 = 0x1_0000;
const ITEMS_64: i32 = 0x1_0100;
const UNKNOWN: i32 = 0;

/// Units of the time stamps of samples in a second.
const FREQUENCY: i64 = 10_000_000;

/// Where a counter's value comes from.
enum Source {
    /// It is what programs set, for each instance.
    Kept,
    /// It is measured when it is asked for.
    Measured(fn() -> i64),
}

struct Counter {
    name: String,
    kind: i32,
    source: Source,
}

impl Counter {
    fn kept(name: &str, kind: i32) -> Counter {
        Counter { name: name.to_owned(), kind, source: Source::Kept }
    }

    fn measured(name: &str, kind: i32, measure: fn() -> i64) -> Counter {
        Counter { name: name.to_owned(), kind, source: Source::Measured(measure) }
    }
}

/// What a category's counters count, with a value for each of them.
struct Instance {
    name: String,
    values: Box<[AtomicI64]>,
}

struct Category {
    name: String,
    help: String,
    /// Made by a program.
    is_custom: bool,
    counters: Vec<Counter>,
    instances: Mutex<Vec<Arc<Instance>>>,
}

impl Category {
    fn own(name: &str, counters: Vec<Counter>) -> Arc<Category> {
        let (name, help, instances) = (name.to_owned(), String::new(), Mutex::default());
        Arc::new(Category { name, help, is_custom: false, counters, instances })
    }

    /// The instance with this name, made at its first use. Mono's own categories count for the process.
    fn instance(&self, name: &str) -> Arc<Instance> {
        let name = if self.is_custom { name } else { "" };
        let mut instances = self.instances.lock();
        if let Some(known) = instances.iter().find(|instance| instance.name == name) {
            return known.clone();
        }
        let values = self.counters.iter().map(|_| AtomicI64::new(0)).collect();
        let made = Arc::new(Instance { name: name.to_owned(), values });
        instances.push(made.clone());
        made
    }

    /// Names of the instances that programs gave one.
    fn instance_names(&self) -> Vec<String> {
        let instances = self.instances.lock();
        instances.iter().map(|instance| instance.name.clone()).filter(|name| !name.is_empty()).collect()
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.counters.iter().position(|counter| counter.name == name)
    }
}

static CATEGORIES: LazyLock<Mutex<Vec<Arc<Category>>>> = LazyLock::new(|| {
    Mutex::new(vec![
        Category::own(
            "Mono Memory",
            vec![
                Counter::measured("Total Physical Memory", ITEMS_64, || options::physical_memory() as i64),
                Counter::measured("Available Physical Memory", ITEMS_64, available_memory),
            ],
        ),
        Category::own("ASP.NET", vec![Counter::kept("Requests Queued", ITEMS_64), Counter::kept("Requests Total", ITEMS_32)]),
        Category::own(
            "Mono Threadpool",
            vec![
                Counter::measured("Work Items Added", ITEMS_64, thread_pool::work_items),
                Counter::measured("# of Threads", ITEMS_32, thread_pool::threads),
            ],
        ),
    ])
});

/// Bytes of the machine's memory that nothing uses. The system call that tells of them, too, counts modulo 4 GiB under an emulator of 32 bits.
fn available_memory() -> i64 {
    processes::value_of_line("/proc/meminfo", "MemFree").unwrap_or(0)
}

/// A counter that a program has open.
struct OpenCounter {
    category: Arc<Category>,
    /// Which of the category's counters.
    index: usize,
    instance: Arc<Instance>,
}

impl OpenCounter {
    fn counter(&self) -> &Counter {
        &self.category.counters[self.index]
    }

    fn kept(&self) -> &AtomicI64 {
        &self.instance.values[self.index]
    }

    fn value(&self) -> i64 {
        match self.counter().source {
            Source::Kept => self.kept().load(Ordering::Relaxed),
            Source::Measured(measure) => measure(),
        }
    }
}

/// The counters that programs have open, by their handles less one.
static OPEN: Mutex<Vec<Option<OpenCounter>>> = Mutex::new(Vec::new());

fn category(name: &str) -> Option<Arc<Category>> {
    CATEGORIES.lock().iter().find(|category| category.name == name).cloned()
}

/// A name that the class library passes by its address; null is no name.
fn text_of(name: *const u16, length: i32) -> String {
    // SAFETY: the caller of the internal call passes so many units.
    String::from_utf16_lossy(unsafe { counted_units(name, length) })
}

/// What the counter of a handle gives.
fn with_counter<T>(handle: isize, action: impl FnOnce(&OpenCounter) -> T) -> Option<T> {
    let open = OPEN.lock();
    open.get(usize::try_from(handle).ok()?.checked_sub(1)?)?.as_ref().map(action)
}

extern "C" fn open(
    category_name: *const u16,
    category_length: i32,
    name: *const u16,
    name_length: i32,
    instance: *const u16,
    instance_length: i32,
    kind: *mut i32,
    is_custom: *mut bool,
) -> isize {
    let category = category(&text_of(category_name, category_length));
    let is_written = |category: &Arc<Category>| category.counters.iter().all(|counter| matches!(counter.source, Source::Kept));
    let is_writable = category.as_ref().is_some_and(is_written);
    let found = category.and_then(|category| {
        let index = category.find(&text_of(name, name_length))?;
        let instance = category.instance(&text_of(instance, instance_length));
        Some(OpenCounter { category, index, instance })
    });
    // SAFETY: addresses of the caller's variables.
    unsafe {
        kind.write(found.as_ref().map_or(UNKNOWN, |found| found.counter().kind));
        // Others cannot be written.
        is_custom.write(is_writable);
    }
    let Some(found) = found else { return 0 };
    let mut open = OPEN.lock();
    let place = open.iter().position(Option::is_none).unwrap_or(open.len());
    if place == open.len() {
        open.push(None);
    }
    open[place] = Some(found);
    place as isize + 1
}

/// Fills a `CounterSample`: value, value of the counter's base, two frequencies and three time stamps, then the counter's type.
extern "C" fn sample(handle: isize, _only_value: u8, sample: *mut u8) -> bool {
    let Some((value, kind)) = with_counter(handle, |open| (open.value(), open.counter().kind)) else { return false };
    let now = monotonic_100ns();
    let numbers = [value, 0, FREQUENCY, FREQUENCY, now, now, now];
    // SAFETY: the address of the caller's structure, which need not be aligned for 64-bit numbers.
    unsafe {
        for (index, number) in numbers.into_iter().enumerate() {
            sample.cast::<i64>().add(index).write_unaligned(number);
        }
        sample.add(size_of_val(&numbers)).cast::<i32>().write_unaligned(kind);
    }
    true
}

extern "C" fn update(handle: isize, increments: u8, value: i64) -> i64 {
    let updated = with_counter(handle, |open| match open.counter().source {
        Source::Kept if increments != 0 => open.kept().fetch_add(value, Ordering::Relaxed).wrapping_add(value),
        Source::Kept => {
            open.kept().store(value, Ordering::Relaxed);
            value
        }
        Source::Measured(measure) => measure(),
    });
    updated.unwrap_or(0)
}

extern "C" fn close(handle: isize) {
    if let Some(place) = usize::try_from(handle).ok().and_then(|handle| handle.checked_sub(1)) {
        if let Some(entry) = OPEN.lock().get_mut(place) {
            *entry = None;
        }
    }
}

extern "C" fn delete(name: *const u16, length: i32) -> bool {
    let name = text_of(name, length);
    let mut categories = CATEGORIES.lock();
    let count = categories.len();
    categories.retain(|category| !(category.is_custom && category.name == name));
    categories.len() < count
}

extern "C" fn help(name: *const u16, length: i32) -> StringRef {
    raising(|| match category(&text_of(name, length)) {
        Some(category) => StringRef::new(&category.help),
        None => Ok(StringRef::NULL),
    })
}

/// Whether a counter is in a category; without a counter, whether there is the category.
extern "C" fn exists(name: *const u16, name_length: i32, category_name: *const u16, category_length: i32) -> bool {
    let category = category(&text_of(category_name, category_length));
    category.is_some_and(|category| name.is_null() || category.find(&text_of(name, name_length)).is_some())
}

extern "C" fn instance_exists(name: *const u16, name_length: i32, category_name: *const u16, category_length: i32) -> bool {
    let category = category(&text_of(category_name, category_length));
    category.is_some_and(|category| category.instance_names().contains(&text_of(name, name_length)))
}

/// The counter of a `CounterCreationData`.
fn described(data: ObjectRef) -> Result<Counter> {
    let data = Fields::of(data)?;
    let name = data.reference("name")?.as_string().map_or_else(String::new, |name| name.text());
    Ok(Counter::kept(&name, data.int("type")?))
}

extern "C" fn create(
    name: *const u16,
    name_length: i32,
    help: *const u16,
    help_length: i32,
    _kind: i32,
    counters: ArrayRef,
) -> bool {
    raising(|| {
        let counters = (0..counters.len()).map(|index| described(counters.get_ref(index))).collect::<Result<_>>()?;
        let (name, help) = (text_of(name, name_length), text_of(help, help_length));
        let mut categories = CATEGORIES.lock();
        let is_new = categories.iter().all(|category| category.name != name);
        if is_new {
            categories.push(Arc::new(Category { name, help, is_custom: true, counters, instances: Mutex::default() }));
        }
        Ok(is_new)
    })
}

extern "C" fn category_names() -> ArrayRef {
    raising(|| {
        let names: Vec<String> = CATEGORIES.lock().iter().map(|category| category.name.clone()).collect();
        string_array(&names)
    })
}

extern "C" fn counter_names(name: *const u16, length: i32) -> ArrayRef {
    raising(|| {
        let category = category(&text_of(name, length));
        let counters = category.iter().flat_map(|category| &category.counters);
        string_array(&counters.map(|counter| &counter.name).collect::<Vec<_>>())
    })
}

extern "C" fn instance_names(name: *const u16, length: i32) -> ArrayRef {
    let category = category(&text_of(name, length));
    raising(|| string_array(&category.map_or_else(Vec::new, |category| category.instance_names())))
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Diagnostics.PerformanceCounter:FreeData (intptr)", close as *const ()),
    icall("System.Diagnostics.PerformanceCounter:GetImpl_icall", open as *const ()),
    icall("System.Diagnostics.PerformanceCounter:GetSample", sample as *const ()),
    icall("System.Diagnostics.PerformanceCounter:UpdateValue (intptr,bool,long)", update as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:CategoryDelete_icall (char*,int)", delete as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:CategoryHelp_icall (char*,int)", help as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:CounterCategoryExists_icall", exists as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:Create_icall", create as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:GetCategoryNames ()", category_names as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:GetCounterNames_icall (char*,int)", counter_names as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:GetInstanceNames_icall (char*,int)", instance_names as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:InstanceExistsInternal_icall", instance_exists as *const ()),
];
