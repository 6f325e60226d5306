//! `System.Globalization`: fills the class library's objects from [`super::cultures`], and the comparisons that it asks for when its
//! own collation tables are missing or switched off.

use super::cultures::{self, Column, Culture, cultures, find_culture, find_culture_by_lcid};
use super::native_text::{counted_units, string_array};
use super::{InternalCall, icall, raising};
use crate::class_library::core_class;
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::method_table::method_table;
use crate::object::{self, ArrayRef, ObjectRef, StringRef};
use parking_lot::Mutex;
use std::collections::BTreeMap;
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
static CONSTRUCTED: KnownField = culture_info("constructed");
static USER_OVERRIDE: KnownField = culture_info("m_useUserOverride");
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
            let [ansi, ebcdic, mac, oem] = culture.numbers(Column::CodePages);
            let right_to_left = culture.number(Column::RightToLeft) != 0;
            let list_separator = culture.text(Column::ListSeparator).bytes().next().unwrap_or(b',');
            TextInfoData { ansi, ebcdic, mac, oem, right_to_left, list_separator }
        };
        cultures().iter().map(data_of).collect()
    });
    &data[index]
}

fn fill_culture(this: ObjectRef, index: usize) -> Result<()> {
    let culture = cultures()[index];
    CULTURE_ID.set(this, culture.number(Column::Lcid));
    PARENT_LCID.set(this, culture.number(Column::ParentLcid));
    DATETIME_INDEX.set(this, index as i32);
    NUMBER_INDEX.set(this, index as i32);
    CALENDAR_TYPE.set(this, culture.number(Column::CalendarType));
    for (field, column) in [
        (&NAME, Column::Name),
        (&ENGLISH_NAME, Column::EnglishName),
        (&NATIVE_NAME, Column::NativeName),
        (&ISO3, Column::Iso3),
        (&ISO2, Column::Iso2),
        (&WINDOWS3, Column::Windows3),
    ] {
        set_text(field, this, culture.text(column))?;
    }
    if !culture.text(Column::Territory).is_empty() {
        set_text(&TERRITORY, this, culture.text(Column::Territory))?;
    }
    set_texts(&CALENDAR_NAMES, this, &culture.texts(Column::CalendarNames))?;
    TEXT_INFO_DATA.set(this, text_info_data(index));
    Ok(())
}

extern "C" fn construct_from_name(this: ObjectRef, name: StringRef) -> bool {
    raising(|| match find_culture(&name.text()) {
        Some(index) => fill_culture(this.check()?, index).map(|()| true),
        None => Ok(false),
    })
}

extern "C" fn construct_from_lcid(this: ObjectRef, lcid: i32) -> bool {
    raising(|| match find_culture_by_lcid(lcid) {
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
        let class = core_class(SPACE, "CultureInfo")?;
        let wanted = |culture: Culture| if culture.text(Column::Territory).is_empty() { neutral != 0 } else { specific != 0 };
        let indices: Vec<usize> = (0..cultures().len()).filter(|&index| wanted(cultures()[index])).collect();
        // The first place is that of the invariant culture, which the class library fills.
        let first = usize::from(neutral != 0);
        let array = ArrayRef::new(class, indices.len() + first)?;
        for (place, index) in indices.into_iter().enumerate() {
            let culture = object::allocate(method_table(class)?)?;
            fill_culture(culture, index)?;
            // Else the class library would look for it once more, by its number, which two have in common.
            CONSTRUCTED.set(culture, true);
            USER_OVERRIDE.set(culture, true);
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

fn culture_at(index: i32) -> Result<Culture> {
    let index = usize::try_from(index).ok();
    index.and_then(|index| cultures().get(index).copied()).ok_or_else(|| Exception::argument_out_of_range("index"))
}

extern "C" fn fill_culture_data(this: ObjectRef, index: i32) {
    raising(|| {
        let this = this.check()?;
        let culture = culture_at(index)?;
        set_text(&AM, this, culture.text(Column::Am))?;
        set_text(&PM, this, culture.text(Column::Pm))?;
        set_text(&TIME_SEPARATOR, this, culture.text(Column::TimeSeparator))?;
        set_texts(&LONG_TIMES, this, &culture.texts(Column::LongTimes))?;
        set_texts(&SHORT_TIMES, this, &culture.texts(Column::ShortTimes))?;
        FIRST_DAY.set(this, culture.number(Column::FirstDayOfWeek));
        FIRST_WEEK.set(this, culture.number(Column::WeekRule));
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

extern "C" fn fill_calendar_data(this: ObjectRef, locale: StringRef, _calendar: i32) -> bool {
    raising(|| {
        let this = this.check()?;
        let Some(index) = find_culture(&locale.text()) else { return Ok(false) };
        let culture = cultures()[index];
        set_text(&CALENDAR_NATIVE_NAME, this, culture.text(Column::CalendarNativeName))?;
        set_text(&MONTH_DAY, this, culture.text(Column::MonthDay))?;
        for (field, column) in [
            (&SHORT_DATES, Column::ShortDates),
            (&YEAR_MONTHS, Column::YearMonths),
            (&LONG_DATES, Column::LongDates),
            (&DAY_NAMES, Column::Days),
            (&SHORT_DAY_NAMES, Column::ShortDays),
            (&SHORTEST_DAY_NAMES, Column::ShortestDays),
            (&MONTH_NAMES, Column::Months),
            (&SHORT_MONTH_NAMES, Column::ShortMonths),
            (&GENITIVE_MONTH_NAMES, Column::GenitiveMonths),
            (&SHORT_GENITIVE_MONTH_NAMES, Column::ShortGenitiveMonths),
        ] {
            set_texts(field, this, &culture.texts(column))?;
        }
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
fn number_format(culture: Culture) -> FormatWithTexts {
    let mut block = vec![0u8];
    let mut text = |column| {
        let start = block.len() as i32;
        block.extend_from_slice(culture.text(column).as_bytes());
        block.push(0);
        start
    };
    let format = NumberFormat {
        currency_decimal_digits: culture.number(Column::CurrencyDecimalDigits),
        currency_decimal_separator: text(Column::CurrencyDecimalSeparator),
        currency_group_separator: text(Column::CurrencyGroupSeparator),
        currency_group_sizes: culture.numbers(Column::CurrencyGroupSizes),
        currency_negative_pattern: culture.number(Column::CurrencyNegativePattern),
        currency_positive_pattern: culture.number(Column::CurrencyPositivePattern),
        currency_symbol: text(Column::CurrencySymbol),
        nan_symbol: text(Column::NanSymbol),
        negative_infinity_symbol: text(Column::NegativeInfinitySymbol),
        negative_sign: text(Column::NegativeSign),
        number_decimal_digits: culture.number(Column::NumberDecimalDigits),
        number_decimal_separator: text(Column::NumberDecimalSeparator),
        number_group_separator: text(Column::NumberGroupSeparator),
        number_group_sizes: culture.numbers(Column::NumberGroupSizes),
        number_negative_pattern: culture.number(Column::NumberNegativePattern),
        per_mille_symbol: text(Column::PerMilleSymbol),
        percent_negative_pattern: culture.number(Column::PercentNegativePattern),
        percent_positive_pattern: culture.number(Column::PercentPositivePattern),
        percent_symbol: text(Column::PercentSymbol),
        positive_infinity_symbol: text(Column::PositiveInfinitySymbol),
        positive_sign: text(Column::PositiveSign),
    };
    (format, block)
}

/// A format with its block of texts, whose address managed code keeps.
type FormatWithTexts = (NumberFormat, Vec<u8>);

extern "C" fn fill_number_data(index: i32, entry: *mut NumberFormat) -> *const u8 {
    /// By number of the culture, made when first asked for; never dropped.
    static FORMATS: Mutex<BTreeMap<i32, &'static FormatWithTexts>> = Mutex::new(BTreeMap::new());
    raising(|| {
        let culture = culture_at(index)?;
        let mut formats = FORMATS.lock();
        let (format, block) = *formats.entry(index).or_insert_with(|| Box::leak(Box::new(number_format(culture))));
        // SAFETY: the address of a variable of this structure.
        unsafe { entry.write(*format) };
        Ok(block.as_ptr())
    })
}

static REGION_ID: KnownField = region_info("regionId");
static REGION_ISO2: KnownField = region_info("iso2Name");
static REGION_TEXTS: [KnownField; 8] = [
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
        // The name of a specific culture or of a country; many of the latter look like those of languages.
        let territory =
            find_culture(&name).map(|index| cultures()[index].text(Column::Territory)).filter(|text| !text.is_empty());
        let territory = territory.unwrap_or(name.as_str());
        let Some(region) = cultures::region(territory) else { return Ok(false) };
        REGION_ID.set(this, region.geographical_id);
        set_text(&REGION_ISO2, this, region.iso2)?;
        for (field, text) in REGION_TEXTS.iter().zip(region.texts) {
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
        let (format, block) = number_format(cultures()[find_culture("en").unwrap_or_default()]);
        let start = format.positive_infinity_symbol as usize;
        assert!(block[start..].starts_with(b"Infinity\0"));
    }
}
