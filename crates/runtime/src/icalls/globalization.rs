//! `System.Globalization`: fills the class library's objects from [`super::cultures`], and the comparisons that it asks for when its
//! own collation tables are missing or switched off.

use super::cultures::{CULTURES, Culture, REGIONS};
use super::native_text::{counted_units, string_array};
use super::{InternalCall, icall, raising};
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::method_table::method_table;
use crate::object::{self, ArrayRef, ObjectRef, StringRef};
use crate::runtime;
use std::sync::OnceLock;

const SPACE: &str = "System.Globalization";

const fn culture_info(name: &'static str) -> KnownField {
    KnownField::new(SPACE, "CultureInfo", name)
}

const fn culture_data(name: &'static str) -> KnownField {
    KnownField::new(SPACE, "CultureData", name)
}

const fn calendar_data(name: &'static str) -> KnownField {
    KnownField::new(SPACE, "CalendarData", name)
}

const fn region_info(name: &'static str) -> KnownField {
    KnownField::new(SPACE, "RegionInfo", name)
}

/// `CalendarType` Gregorian (1) of the English kind, with the bit that marks the default.
const GREGORIAN_CALENDAR: i32 = 0x101;

static CULTURE_ID: KnownField = culture_info("cultureID");
static PARENT_LCID: KnownField = culture_info("parent_lcid");
static DATETIME_INDEX: KnownField = culture_info("datetime_index");
static NUMBER_INDEX: KnownField = culture_info("number_index");
static CALENDAR_TYPE: KnownField = culture_info("default_calendar_type");
static NAME: KnownField = culture_info("m_name");
static ENGLISH_NAME: KnownField = culture_info("englishname");
static NATIVE_NAME: KnownField = culture_info("nativename");
static ISO3: KnownField = culture_info("iso3lang");
static ISO2: KnownField = culture_info("iso2lang");
static WINDOWS3: KnownField = culture_info("win3lang");
static TERRITORY: KnownField = culture_info("territory");
static CALENDAR_NAMES: KnownField = culture_info("native_calendar_names");
static TEXT_INFO_DATA: KnownField = culture_info("textinfo_data");

/// `CultureInfo.Data`.
#[repr(C)]
struct TextInfoData {
    ansi: i32,
    ebcdic: i32,
    mac: i32,
    oem: i32,
    right_to_left: bool,
    list_separator: u8,
}

fn set_text(field: &KnownField, object: ObjectRef, text: &str) -> Result<()> {
    field.set_ref(object, StringRef::new(text)?.object());
    Ok(())
}

fn set_texts(field: &KnownField, object: ObjectRef, texts: &[&str]) -> Result<()> {
    field.set_ref(object, string_array(texts)?.object());
    Ok(())
}

/// Structures that `CultureInfo` objects point to, by number of the culture.
fn text_info_data(index: usize) -> *const TextInfoData {
    static DATA: OnceLock<Vec<TextInfoData>> = OnceLock::new();
    let data = DATA.get_or_init(|| {
        let data_of = |culture: &Culture| {
            let [ansi, ebcdic, mac, oem] = culture.code_pages;
            TextInfoData { ansi, ebcdic, mac, oem, right_to_left: false, list_separator: culture.list_separator }
        };
        CULTURES.iter().map(data_of).collect()
    });
    &data[index]
}

fn fill_culture(this: ObjectRef, index: usize) -> Result<()> {
    let culture = &CULTURES[index];
    CULTURE_ID.set(this, culture.lcid);
    PARENT_LCID.set(this, culture.parent_lcid);
    DATETIME_INDEX.set(this, index as i32);
    NUMBER_INDEX.set(this, index as i32);
    CALENDAR_TYPE.set(this, GREGORIAN_CALENDAR);
    set_text(&NAME, this, culture.name)?;
    set_text(&ENGLISH_NAME, this, culture.english_name)?;
    set_text(&NATIVE_NAME, this, culture.native_name)?;
    set_text(&ISO3, this, culture.iso3)?;
    set_text(&ISO2, this, culture.iso2)?;
    set_text(&WINDOWS3, this, culture.windows3)?;
    if !culture.territory.is_empty() {
        set_text(&TERRITORY, this, culture.territory)?;
    }
    set_texts(&CALENDAR_NAMES, this, &[culture.calendar_name, "", "", ""])?;
    TEXT_INFO_DATA.set(this, text_info_data(index));
    Ok(())
}

fn find_culture(name: &str) -> Option<usize> {
    CULTURES.iter().position(|culture| culture.name.eq_ignore_ascii_case(name))
}

extern "C" fn construct_from_name(this: ObjectRef, name: StringRef) -> bool {
    raising(|| match find_culture(&name.text()) {
        Some(index) => fill_culture(this.check()?, index).map(|()| true),
        None => Ok(false),
    })
}

extern "C" fn construct_from_lcid(this: ObjectRef, lcid: i32) -> bool {
    raising(|| match CULTURES.iter().position(|culture| culture.lcid == lcid) {
        Some(index) => fill_culture(this.check()?, index).map(|()| true),
        None => Ok(false),
    })
}

/// The culture that a locale's name in the C library's spelling means; `None` for the plain ones.
fn culture_of_locale(locale: &str) -> Option<String> {
    let base = locale.split(['.', '@']).next().unwrap_or_default();
    if matches!(base, "" | "C" | "POSIX") { None } else { Some(base.replace('_', "-")) }
}

extern "C" fn current_locale_name() -> StringRef {
    let variable = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    raising(|| {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(variable);
        match locale.as_deref().and_then(culture_of_locale) {
            Some(name) => StringRef::new(&name),
            None => Ok(StringRef::NULL),
        }
    })
}

extern "C" fn all_cultures(neutral: u8, specific: u8, _installed: u8) -> ArrayRef {
    raising(|| {
        let types = &runtime().types;
        let class = types
            .find_type(types.corlib(), SPACE, "CultureInfo")?
            .ok_or_else(|| Exception::engine("the core library lacks System.Globalization.CultureInfo"))?;
        let wanted = |culture: &Culture| if culture.territory.is_empty() { neutral != 0 } else { specific != 0 };
        let indices: Vec<usize> = (0..CULTURES.len()).filter(|&index| wanted(&CULTURES[index])).collect();
        // The first place is that of the invariant culture, which the class library fills.
        let first = usize::from(neutral != 0);
        let array = ArrayRef::new(class, indices.len() + first)?;
        for (place, index) in indices.into_iter().enumerate() {
            let culture = object::allocate(method_table(class)?)?;
            fill_culture(culture, index)?;
            array.set_ref(place + first, culture);
        }
        Ok(array)
    })
}

static AM: KnownField = culture_data("sAM1159");
static PM: KnownField = culture_data("sPM2359");
static TIME_SEPARATOR: KnownField = culture_data("sTimeSeparator");
static LONG_TIMES: KnownField = culture_data("saLongTimes");
static SHORT_TIMES: KnownField = culture_data("saShortTimes");
static FIRST_DAY: KnownField = culture_data("iFirstDayOfWeek");
static FIRST_WEEK: KnownField = culture_data("iFirstWeekOfYear");

fn culture_at(index: i32) -> Result<&'static Culture> {
    let index = usize::try_from(index).ok();
    index.and_then(|index| CULTURES.get(index)).ok_or_else(|| Exception::argument_out_of_range("index"))
}

extern "C" fn fill_culture_data(this: ObjectRef, index: i32) {
    raising(|| {
        let this = this.check()?;
        let dates = culture_at(index)?.dates;
        set_text(&AM, this, dates.am)?;
        set_text(&PM, this, dates.pm)?;
        set_text(&TIME_SEPARATOR, this, dates.time_separator)?;
        set_texts(&LONG_TIMES, this, dates.long_times)?;
        set_texts(&SHORT_TIMES, this, dates.short_times)?;
        FIRST_DAY.set(this, dates.first_day_of_week);
        FIRST_WEEK.set(this, dates.week_rule);
        Ok(())
    })
}

static CALENDAR_NATIVE_NAME: KnownField = calendar_data("sNativeName");
static SHORT_DATES: KnownField = calendar_data("saShortDates");
static YEAR_MONTHS: KnownField = calendar_data("saYearMonths");
static LONG_DATES: KnownField = calendar_data("saLongDates");
static MONTH_DAY: KnownField = calendar_data("sMonthDay");
static DAY_NAMES: KnownField = calendar_data("saDayNames");
static SHORT_DAY_NAMES: KnownField = calendar_data("saAbbrevDayNames");
static SHORTEST_DAY_NAMES: KnownField = calendar_data("saSuperShortDayNames");
static MONTH_NAMES: KnownField = calendar_data("saMonthNames");
static SHORT_MONTH_NAMES: KnownField = calendar_data("saAbbrevMonthNames");
static GENITIVE_MONTH_NAMES: KnownField = calendar_data("saMonthGenitiveNames");
static SHORT_GENITIVE_MONTH_NAMES: KnownField = calendar_data("saAbbrevMonthGenitiveNames");

extern "C" fn fill_calendar_data(this: ObjectRef, _locale: StringRef, index: i32) -> bool {
    raising(|| {
        let this = this.check()?;
        let culture = culture_at(index)?;
        let dates = culture.dates;
        set_text(&CALENDAR_NATIVE_NAME, this, culture.native_name)?;
        set_texts(&SHORT_DATES, this, dates.short_dates)?;
        set_texts(&YEAR_MONTHS, this, dates.year_months)?;
        set_texts(&LONG_DATES, this, dates.long_dates)?;
        set_text(&MONTH_DAY, this, dates.month_day)?;
        set_texts(&DAY_NAMES, this, &dates.days)?;
        set_texts(&SHORT_DAY_NAMES, this, &dates.short_days)?;
        set_texts(&SHORTEST_DAY_NAMES, this, &dates.shortest_days)?;
        set_texts(&MONTH_NAMES, this, &dates.months)?;
        set_texts(&SHORT_MONTH_NAMES, this, &dates.short_months)?;
        set_texts(&GENITIVE_MONTH_NAMES, this, &dates.months)?;
        set_texts(&SHORT_GENITIVE_MONTH_NAMES, this, &dates.short_months)?;
        Ok(true)
    })
}

/// `CultureData.NumberFormatEntryManaged`: texts are offsets in a block of UTF-8 texts that each end with a 0.
#[repr(C)]
#[derive(Default, Clone, Copy)]
struct NumberFormat {
    currency_decimal_digits: i32,
    currency_decimal_separator: i32,
    currency_group_separator: i32,
    currency_group_sizes: [i32; 2],
    currency_negative_pattern: i32,
    currency_positive_pattern: i32,
    currency_symbol: i32,
    nan_symbol: i32,
    negative_infinity_symbol: i32,
    negative_sign: i32,
    number_decimal_digits: i32,
    number_decimal_separator: i32,
    number_group_separator: i32,
    number_group_sizes: [i32; 2],
    number_negative_pattern: i32,
    per_mille_symbol: i32,
    percent_negative_pattern: i32,
    percent_positive_pattern: i32,
    percent_symbol: i32,
    positive_infinity_symbol: i32,
    positive_sign: i32,
}

/// One culture's format with its block of texts.
fn number_format(culture: &Culture) -> (NumberFormat, Vec<u8>) {
    let numbers = culture.numbers;
    let mut block = vec![0u8];
    let mut text = |text: &str| {
        let start = block.len() as i32;
        block.extend_from_slice(text.as_bytes());
        block.push(0);
        start
    };
    let decimal_separator = text(numbers.decimal_separator);
    let group_separator = text(numbers.group_separator);
    let format = NumberFormat {
        currency_decimal_digits: 2,
        currency_decimal_separator: decimal_separator,
        currency_group_separator: group_separator,
        currency_group_sizes: [3, -1],
        currency_negative_pattern: numbers.currency_negative_pattern,
        currency_positive_pattern: numbers.currency_positive_pattern,
        currency_symbol: text(numbers.currency_symbol),
        nan_symbol: text("NaN"),
        negative_infinity_symbol: text(numbers.negative_infinity),
        negative_sign: text("-"),
        number_decimal_digits: 2,
        number_decimal_separator: decimal_separator,
        number_group_separator: group_separator,
        number_group_sizes: [3, -1],
        number_negative_pattern: 1,
        per_mille_symbol: text("\u{2030}"),
        percent_negative_pattern: numbers.percent_negative_pattern,
        percent_positive_pattern: numbers.percent_positive_pattern,
        percent_symbol: text("%"),
        positive_infinity_symbol: text(numbers.positive_infinity),
        positive_sign: text("+"),
    };
    (format, block)
}

extern "C" fn fill_number_data(index: i32, entry: *mut NumberFormat) -> *const u8 {
    static FORMATS: OnceLock<Vec<(NumberFormat, Vec<u8>)>> = OnceLock::new();
    raising(|| {
        let formats = FORMATS.get_or_init(|| CULTURES.iter().map(number_format).collect());
        let index = usize::try_from(index).ok().filter(|&index| index < formats.len());
        let (format, block) = &formats[index.ok_or_else(|| Exception::argument_out_of_range("index"))?];
        // SAFETY: the address of a variable of this structure.
        unsafe { entry.write(*format) };
        Ok(block.as_ptr())
    })
}

static REGION_ID: KnownField = region_info("regionId");
static REGION_TEXTS: [KnownField; 9] = [
    region_info("iso2Name"),
    region_info("iso3Name"),
    region_info("win3Name"),
    region_info("englishName"),
    region_info("nativeName"),
    region_info("currencySymbol"),
    region_info("isoCurrencySymbol"),
    region_info("currencyEnglishName"),
    region_info("currencyNativeName"),
];

extern "C" fn construct_region(this: ObjectRef, name: StringRef) -> bool {
    raising(|| {
        let this = this.check()?;
        let name = name.text();
        let territory = find_culture(&name).map_or(name.as_str(), |index| CULTURES[index].territory);
        let Some(region) = REGIONS.iter().find(|region| region.iso2.eq_ignore_ascii_case(territory)) else { return Ok(false) };
        REGION_ID.set(this, region.geo_id);
        let texts = [
            region.iso2,
            region.iso3,
            region.windows3,
            region.english_name,
            region.native_name,
            region.currency_symbol,
            region.currency_iso,
            region.currency_english_name,
            region.currency_native_name,
        ];
        for (field, text) in REGION_TEXTS.iter().zip(texts) {
            set_text(field, this, text)?;
        }
        Ok(true)
    })
}

/// Bits of `CompareOptions`.
const IGNORE_CASE: i32 = 1;
const ORDINAL_IGNORE_CASE: i32 = 0x1000_0000;

fn upper(unit: u16) -> u16 {
    match char::from_u32(u32::from(unit)).map(|c| c.to_uppercase()) {
        Some(mut upper) if upper.len() == 1 => upper.next().map_or(unit, |c| c as u16),
        _ => unit,
    }
}

extern "C" fn compare(first: *const u16, first_length: i32, second: *const u16, second_length: i32, options: i32) -> i32 {
    // SAFETY: the caller passes pinned strings with lengths that lie in them.
    let (first, second) = unsafe { (counted_units(first, first_length), counted_units(second, second_length)) };
    let order = if options & (IGNORE_CASE | ORDINAL_IGNORE_CASE) != 0 {
        first.iter().map(|unit| upper(*unit)).cmp(second.iter().map(|unit| upper(*unit)))
    } else {
        first.cmp(second)
    };
    order as i32
}

extern "C" fn index_of(text: *const u16, start: i32, count: i32, value: *const u16, value_length: i32, first: u8) -> i32 {
    // SAFETY: the caller passes pinned strings with lengths that lie in them.
    let value = unsafe { counted_units(value, value_length) };
    // A search for the last place gives the end of the range as its start.
    let from = if first != 0 { start } else { start - count + 1 };
    // SAFETY: as above.
    let range = unsafe { counted_units(text.wrapping_add(from.max(0) as usize), count) };
    if value.is_empty() {
        return start;
    }
    let mut places = range.windows(value.len());
    let found = if first != 0 { places.position(|place| place == value) } else { places.rposition(|place| place == value) };
    found.map_or(-1, |place| from + place as i32)
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Globalization.CalendarData:fill_calendar_data (string,int)", fill_calendar_data as *const ()),
    icall("System.Globalization.CompareInfo:internal_compare_icall", compare as *const ()),
    icall("System.Globalization.CompareInfo:internal_index_icall", index_of as *const ()),
    icall("System.Globalization.CultureData:fill_culture_data (int)", fill_culture_data as *const ()),
    icall("System.Globalization.CultureData:fill_number_data", fill_number_data as *const ()),
    icall("System.Globalization.CultureInfo:construct_internal_locale_from_lcid (int)", construct_from_lcid as *const ()),
    icall("System.Globalization.CultureInfo:construct_internal_locale_from_name (string)", construct_from_name as *const ()),
    icall("System.Globalization.CultureInfo:get_current_locale_name ()", current_locale_name as *const ()),
    icall("System.Globalization.CultureInfo:internal_get_cultures (bool,bool,bool)", all_cultures as *const ()),
    icall("System.Globalization.RegionInfo:construct_internal_region_from_name (string)", construct_region as *const ()),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_become_cultures() {
        assert_eq!(culture_of_locale("en_US.UTF-8").as_deref(), Some("en-US"));
        assert_eq!(culture_of_locale("C.UTF-8"), None);
    }

    #[test]
    fn searches_give_first_or_last_place() {
        let (text, value): (Vec<u16>, Vec<u16>) = ("abcabc".encode_utf16().collect(), "bc".encode_utf16().collect());
        assert_eq!(index_of(text.as_ptr(), 0, 6, value.as_ptr(), 2, 1), 1);
        assert_eq!(index_of(text.as_ptr(), 5, 6, value.as_ptr(), 2, 0), 4);
    }

    #[test]
    fn texts_of_number_formats_are_found() {
        let (format, block) = number_format(&CULTURES[0]);
        let start = format.positive_infinity_symbol as usize;
        assert!(block[start..].starts_with(b"Infinity\0"));
    }
}
