//! What the runtime knows of languages and countries: names, numbers and dates of the cultures. It only reads two tables of text, which are
//! facts taken from Mono: `cultures/extract.cs`, run under `mono`, prints `cultures/cultures.tsv`, and with an argument
//! `cultures/regions.tsv`. A line is a culture, columns are separated by tabulators, lists by `|`.

use std::cmp::Ordering;
use std::sync::OnceLock;

/// The columns of the table of cultures, in their order.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Name,
    Lcid,
    ParentLcid,
    EnglishName,
    NativeName,
    Iso3,
    Iso2,
    Windows3,
    /// Empty in a neutral culture.
    Territory,
    CalendarNames,
    CalendarType,
    /// ANSI, EBCDIC, Macintosh, OEM.
    CodePages,
    RightToLeft,
    ListSeparator,
    Am,
    Pm,
    TimeSeparator,
    LongTimes,
    ShortTimes,
    FirstDayOfWeek,
    WeekRule,
    CalendarNativeName,
    ShortDates,
    YearMonths,
    LongDates,
    MonthDay,
    Days,
    ShortDays,
    ShortestDays,
    Months,
    ShortMonths,
    GenitiveMonths,
    ShortGenitiveMonths,
    CurrencyDecimalDigits,
    CurrencyDecimalSeparator,
    CurrencyGroupSeparator,
    CurrencyGroupSizes,
    CurrencyNegativePattern,
    CurrencyPositivePattern,
    CurrencySymbol,
    NanSymbol,
    NegativeInfinitySymbol,
    NegativeSign,
    NumberDecimalDigits,
    NumberDecimalSeparator,
    NumberGroupSeparator,
    NumberGroupSizes,
    NumberNegativePattern,
    PerMilleSymbol,
    PercentNegativePattern,
    PercentPositivePattern,
    PercentSymbol,
    PositiveInfinitySymbol,
    PositiveSign,
}

/// A culture: its line of the table.
#[derive(Clone, Copy)]
pub(super) struct Culture(&'static str);

impl Culture {
    /// The text of a column.
    pub(super) fn text(self, column: Column) -> &'static str {
        self.0.split('\t').nth(column as usize).unwrap_or_default()
    }

    /// The number of a column.
    pub(super) fn number(self, column: Column) -> i32 {
        self.text(column).parse().unwrap_or_default()
    }

    /// The items of a column.
    pub(super) fn texts(self, column: Column) -> Vec<&'static str> {
        self.text(column).split('|').collect()
    }

    /// The numbers of a column; -1 where there are fewer than asked for.
    pub(super) fn numbers<const COUNT: usize>(self, column: Column) -> [i32; COUNT] {
        let mut items = self.text(column).split('|').map(|item| item.parse().unwrap_or(-1));
        std::array::from_fn(|_| items.next().unwrap_or(-1))
    }
}

/// The cultures in Mono's order, but the invariant one, which the class library makes itself. Their numbers are their places.
pub(super) fn cultures() -> &'static [Culture] {
    static CULTURES: OnceLock<Vec<Culture>> = OnceLock::new();
    CULTURES.get_or_init(|| include_str!("cultures/cultures.tsv").lines().map(Culture).collect())
}

/// The number of the culture that has this name, in any case of letters.
pub(super) fn find_culture(name: &str) -> Option<usize> {
    cultures().iter().position(|culture| culture.text(Column::Name).eq_ignore_ascii_case(name))
}

/// The number of the culture with this locale identifier. The table is sorted by it; where two have the same, the one that halving meets
/// first, as on Mono (for 4 `zh-CHS`, for 31748 `zh-Hant`).
pub(super) fn find_culture_by_lcid(lcid: i32) -> Option<usize> {
    let (mut low, mut high) = (0, cultures().len());
    while low < high {
        let middle = (low + high) / 2;
        match lcid.cmp(&cultures()[middle].number(Column::Lcid)) {
            Ordering::Less => high = middle,
            Ordering::Greater => low = middle + 1,
            Ordering::Equal => return Some(middle),
        }
    }
    None
}

/// The English name of the culture with this locale identifier.
pub(super) fn english_name(lcid: i32) -> Option<&'static str> {
    find_culture_by_lcid(lcid).map(|index| cultures()[index].text(Column::EnglishName))
}

/// A country: two-letter code, geographical number, then the texts in the order of [`region`]'s callers: three-letter code, Windows's, English and
/// native name, symbol, code, English and native name of the currency.
#[derive(Clone, Copy)]
pub(super) struct Region {
    pub(super) iso2: &'static str,
    pub(super) geographical_id: i32,
    pub(super) texts: [&'static str; 8],
}

/// The country with this two-letter code, in any case of letters.
pub(super) fn region(iso2: &str) -> Option<Region> {
    let line = include_str!("cultures/regions.tsv")
        .lines()
        .find(|line| line.split('\t').next().is_some_and(|code| code.eq_ignore_ascii_case(iso2)))?;
    let mut columns = line.split('\t');
    let iso2 = columns.next()?;
    let geographical_id = columns.next()?.parse().ok()?;
    Some(Region { iso2, geographical_id, texts: std::array::from_fn(|_| columns.next().unwrap_or_default()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_all_columns() {
        for culture in cultures() {
            assert_eq!(culture.0.split('\t').count(), Column::PositiveSign as usize + 1, "{}", culture.0);
            assert_eq!(culture.texts(Column::Days).len(), 7, "{}", culture.0);
            assert_eq!(culture.texts(Column::GenitiveMonths).len(), 13, "{}", culture.0);
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        let german = find_culture("DE-de").map(|index| cultures()[index]);
        assert_eq!(german.map(|culture| culture.text(Column::EnglishName)), Some("German (Germany)"));
        assert_eq!(region("jp").map(|region| region.texts[0]), Some("JPN"));
        assert!(find_culture("xx-YY").is_none() && region("XX").is_none());
    }
}
