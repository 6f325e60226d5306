//! What the runtime knows of languages and countries: names, numbers and dates of the cultures. Data only.

/// Names and patterns of the Gregorian calendar in a culture.
pub(super) struct Dates {
    pub am: &'static str,
    pub pm: &'static str,
    pub time_separator: &'static str,
    pub long_times: &'static [&'static str],
    pub short_times: &'static [&'static str],
    pub short_dates: &'static [&'static str],
    pub long_dates: &'static [&'static str],
    pub year_months: &'static [&'static str],
    pub month_day: &'static str,
    /// 0 is Sunday.
    pub first_day_of_week: i32,
    /// `CalendarWeekRule`
    pub week_rule: i32,
    pub days: [&'static str; 7],
    pub short_days: [&'static str; 7],
    pub shortest_days: [&'static str; 7],
    /// The thirteenth is empty.
    pub months: [&'static str; 13],
    pub short_months: [&'static str; 13],
}

/// How numbers and money are written in a culture. Patterns are numbered as in `NumberFormatInfo`.
pub(super) struct Numbers {
    pub decimal_separator: &'static str,
    pub group_separator: &'static str,
    pub currency_symbol: &'static str,
    pub currency_positive_pattern: i32,
    pub currency_negative_pattern: i32,
    pub percent_positive_pattern: i32,
    pub percent_negative_pattern: i32,
    pub positive_infinity: &'static str,
    pub negative_infinity: &'static str,
}

/// A culture.
pub(super) struct Culture {
    pub name: &'static str,
    pub lcid: i32,
    pub parent_lcid: i32,
    pub english_name: &'static str,
    pub native_name: &'static str,
    pub iso2: &'static str,
    pub iso3: &'static str,
    pub windows3: &'static str,
    /// Two letters, or empty in a neutral culture.
    pub territory: &'static str,
    pub calendar_name: &'static str,
    pub dates: &'static Dates,
    pub numbers: &'static Numbers,
    /// Code pages: ANSI, EBCDIC, Macintosh, OEM.
    pub code_pages: [i32; 4],
    pub list_separator: u8,
}

/// A country.
pub(super) struct Region {
    pub iso2: &'static str,
    pub iso3: &'static str,
    pub windows3: &'static str,
    pub geo_id: i32,
    pub english_name: &'static str,
    pub native_name: &'static str,
    pub currency_symbol: &'static str,
    pub currency_iso: &'static str,
    pub currency_english_name: &'static str,
    pub currency_native_name: &'static str,
}

const ENGLISH_DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ENGLISH_SHORT_DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const ENGLISH_SHORTEST_DAYS: [&str; 7] = ["S", "M", "T", "W", "T", "F", "S"];
const ENGLISH_MONTHS: [&str; 13] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
    "",
];
const ENGLISH_SHORT_MONTHS: [&str; 13] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", ""];

static DATES_US: Dates = Dates {
    am: "AM",
    pm: "PM",
    time_separator: ":",
    long_times: &["h:mm:ss tt", "hh:mm:ss tt", "H:mm:ss", "HH:mm:ss"],
    short_times: &["h:mm tt", "hh:mm tt", "H:mm", "HH:mm"],
    short_dates: &["M/d/yyyy", "M/d/yy", "MM/dd/yy", "MM/dd/yyyy", "yy/MM/dd", "yyyy-MM-dd", "dd-MMM-yy"],
    long_dates: &["dddd, MMMM d, yyyy", "MMMM d, yyyy", "dddd, d MMMM, yyyy", "d MMMM, yyyy"],
    year_months: &["MMMM yyyy"],
    month_day: "MMMM d",
    first_day_of_week: 0,
    week_rule: 0,
    days: ENGLISH_DAYS,
    short_days: ENGLISH_SHORT_DAYS,
    shortest_days: ENGLISH_SHORTEST_DAYS,
    months: ENGLISH_MONTHS,
    short_months: ENGLISH_SHORT_MONTHS,
};

static NUMBERS_US: Numbers = Numbers {
    decimal_separator: ".",
    group_separator: ",",
    currency_symbol: "$",
    currency_positive_pattern: 0,
    currency_negative_pattern: 0,
    percent_positive_pattern: 0,
    percent_negative_pattern: 0,
    positive_infinity: "Infinity",
    negative_infinity: "-Infinity",
};

const WESTERN_CODE_PAGES: [i32; 4] = [1252, 37, 10000, 437];

/// The cultures, in order of their numbers. The invariant one is made by the class library alone.
pub(super) static CULTURES: &[Culture] = &[
    Culture {
        name: "en",
        lcid: 0x9,
        parent_lcid: 0x7f,
        english_name: "English",
        native_name: "English",
        iso2: "en",
        iso3: "eng",
        windows3: "ENU",
        territory: "",
        calendar_name: "Gregorian Calendar",
        dates: &DATES_US,
        numbers: &NUMBERS_US,
        code_pages: WESTERN_CODE_PAGES,
        list_separator: b',',
    },
    Culture {
        name: "en-US",
        lcid: 0x409,
        parent_lcid: 0x9,
        english_name: "English (United States)",
        native_name: "English (United States)",
        iso2: "en",
        iso3: "eng",
        windows3: "ENU",
        territory: "US",
        calendar_name: "Gregorian Calendar",
        dates: &DATES_US,
        numbers: &NUMBERS_US,
        code_pages: WESTERN_CODE_PAGES,
        list_separator: b',',
    },
];

/// The countries.
pub(super) static REGIONS: &[Region] = &[Region {
    iso2: "US",
    iso3: "USA",
    windows3: "USA",
    geo_id: 244,
    english_name: "United States",
    native_name: "United States",
    currency_symbol: "$",
    currency_iso: "USD",
    currency_english_name: "US Dollar",
    currency_native_name: "US Dollar",
}];
