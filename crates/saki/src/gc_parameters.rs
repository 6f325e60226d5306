//! The environment variable `MONO_GC_PARAMS`, read as Mono's collector reads it, with its words for what is wrong.
//!
//! What means something for this collector is the largest heap and the size of the nursery.

const VARIABLE: &str = "MONO_GC_PARAMS";
/// A heap is at least four times as large as Mono's nursery is without `nursery-size=`, in bytes.
const LEAST_HEAP: u64 = 4 * (4 << 20);
const PAGE: u64 = 4096;
/// The least that Mono takes for a nursery, in bytes.
const LEAST_NURSERY: u64 = 512;

const USAGE: &str = "\
MONO_GC_PARAMS must be a comma-delimited list of one or more of the following:
  max-heap-size=N (where N is an integer, possibly with a k, m or a g suffix)
  soft-heap-limit=n (where N is an integer, possibly with a k, m or a g suffix)
  mode=MODE (where MODE is 'balanced', 'throughput' or 'pause[:N]' and N is maximum pause in milliseconds)
  nursery-size=N (where N is an integer, possibly with a k, m or a g suffix)
  major=COLLECTOR (where COLLECTOR is `marksweep', `marksweep-conc', `marksweep-par')
  minor=COLLECTOR (where COLLECTOR is `simple' or `split')
  wbarrier=WBARRIER (where WBARRIER is `remset' or `cardtable')
  [no-]cementing
  [no-]dynamic-nursery
  evacuation-threshold=P (where P is a percentage, an integer in 0-100)
  (no-)lazy-sweep
  (no-)concurrent-sweep
  stack-mark=MARK-METHOD (where MARK-METHOD is 'precise' or 'conservative')
 Experimental options:
  save-target-ratio=R (where R must be between 0.10 - 2.00).
  default-allowance-ratio=R (where R must be between 1.00 - 10.00).
";

/// Words that stand for themselves and change nothing here.
const SWITCHES: &[&str] = &[
    "cementing",
    "no-cementing",
    "dynamic-nursery",
    "no-dynamic-nursery",
    "lazy-sweep",
    "no-lazy-sweep",
    "concurrent-sweep",
    "no-concurrent-sweep",
    "bridge-require-precise-merge",
    "toggleref-test",
];

/// What the variable says.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct GcParameters {
    /// Bytes that the heap may have.
    pub max_heap: Option<u64>,
    /// Bytes of the nursery.
    pub nursery: Option<u64>,
    /// Lines for standard error.
    pub messages: String,
    /// The process is to end with exit code 1.
    pub is_wrong: bool,
}

impl GcParameters {
    /// Reads the variable.
    pub fn from_environment() -> GcParameters {
        let value = std::env::var_os(VARIABLE).unwrap_or_default();
        GcParameters::parse(&value.to_string_lossy())
    }

    /// Takes a value apart.
    pub fn parse(text: &str) -> GcParameters {
        let mut parameters = GcParameters::default();
        let (mut soft_limit, mut is_usage_shown) = (0, false);
        let is_split = text.split(',').any(|option| option == "minor=split");
        for option in text.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                None if SWITCHES.contains(&option) => {}
                Some(("soft-heap-limit", value)) => match size(value) {
                    Some(0) => parameters.warn("`soft-heap-limit` must be positive."),
                    Some(limit) => soft_limit = limit,
                    None => parameters.warn("`soft-heap-limit` must be an integer."),
                },
                Some((name @ ("alloc-ratio" | "promotion-age"), value)) if is_split => {
                    let most = if name == "alloc-ratio" { 100 } else { 14 };
                    if number(value).is_none_or(|number| !(1..=most).contains(&number)) {
                        parameters.refuse(&format!("{name} must be an integer in the range 1-{most}.\n"));
                    }
                }
                Some((name, value)) if parameters.set(name, value) => {}
                _ => {
                    parameters.warn(&format!("Unknown option `{option}`. - Ignoring."));
                    if !std::mem::replace(&mut is_usage_shown, true) {
                        parameters.messages.push_str(&format!("\n{USAGE}\n"));
                    }
                }
            }
            if parameters.is_wrong {
                return parameters;
            }
        }
        if parameters.max_heap.is_some_and(|heap| heap < soft_limit) {
            parameters.warn("`max-heap-size` must be at least as large as `soft-heap-limit`. - Setting to minimum.");
            parameters.max_heap = Some(soft_limit);
        }
        parameters
    }

    fn warn(&mut self, text: &str) {
        self.messages.push_str(&format!("Warning: In environment variable `{VARIABLE}': {text}\n"));
    }

    fn refuse(&mut self, text: &str) {
        self.messages.push_str(text);
        self.is_wrong = true;
    }

    /// Takes one option with a value; says whether there is such an option.
    fn set(&mut self, name: &str, value: &str) -> bool {
        match (name, value) {
            ("max-heap-size", _) => self.set_max_heap(value),
            ("nursery-size", _) => self.set_nursery(value),
            ("save-target-ratio", _) => self.check_ratio(name, value, 0.1, 2.0),
            ("default-allowance-ratio", _) => self.check_ratio(name, value, 1.0, 10.0),
            ("major", "marksweep" | "marksweep-conc" | "marksweep-par") => {}
            ("minor", "simple" | "simple-par" | "split") => {}
            ("major" | "minor", _) => self.warn(&format!("Unknown {name} collector `{value}'. - Using default instead.")),
            ("mode", "balanced" | "throughput" | "pause") => {}
            ("mode", _) => match value.strip_prefix("pause:") {
                Some(pause) if number(pause).is_some_and(|pause| pause > 0) => {}
                Some(_) => self.warn("Invalid maximum pause time for `pause` sgen mode - Using default"),
                None => self.warn(&format!("Unknown mode `{value}'. - Using default configurations.")),
            },
            ("evacuation-threshold", _) => {
                if number(value).is_some_and(|percentage| percentage > 100) {
                    self.refuse("evacuation-threshold must be an integer in the range 0-100.\n");
                }
            }
            ("stack-mark", "conservative") => {}
            ("stack-mark", "precise") => self.messages.push_str("Precise stack mark not supported - disabling.\n"),
            ("stack-mark", _) => self.warn(&format!(
                "Invalid value `{value}` for `stack-mark` option, possible values are: `precise`, `conservative`. - Using `conservative`."
            )),
            ("bridge-implementation", "new" | "old" | "tarjan") => {}
            ("bridge-implementation", _) => self.messages.push_str(
                "Invalid value for bridge processor implementation, valid values are: 'new', 'old' and 'tarjan'.\n",
            ),
            _ => return false,
        }
        true
    }

    fn set_max_heap(&mut self, value: &str) {
        let Some(mut heap) = size(value) else { return self.warn("`max-heap-size` must be an integer.") };
        if heap % PAGE != 0 {
            self.warn(&format!("`max-heap-size` size must be a multiple of {PAGE}. - Rounding up."));
            heap = heap.checked_next_multiple_of(PAGE).unwrap_or(heap);
        }
        if heap < LEAST_HEAP {
            self.warn("`max-heap-size` must be at least 4 times as large as `nursery size`. - Setting to minimum.");
            heap = LEAST_HEAP;
        }
        self.max_heap = Some(heap);
    }

    fn set_nursery(&mut self, value: &str) {
        match size(value) {
            None => self.warn("`nursery-size` must be an integer. - Using default value."),
            Some(size) if !size.is_power_of_two() => {
                self.warn("`nursery-size` must be a power of two. - Using default value.");
            }
            Some(size) if size < LEAST_NURSERY => {
                self.warn(&format!("`nursery-size` must be at least {LEAST_NURSERY} bytes. - Using default value."));
            }
            Some(size) => self.nursery = Some(size),
        }
    }

    fn check_ratio(&mut self, name: &str, value: &str, least: f64, most: f64) {
        match value.parse::<f64>() {
            Err(_) => self.warn(&format!("`{name}` must be a number. - Using default value.")),
            Ok(ratio) if !(least..=most).contains(&ratio) => {
                self.warn(&format!("`{name}` must be between {least:.2} - {most:.2}. - Using default value."));
            }
            Ok(_) => {}
        }
    }
}

fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// A number of bytes, with a suffix for units of 1024.
fn size(text: &str) -> Option<u64> {
    let shift = match text.bytes().last()? {
        b'k' | b'K' => 10,
        b'm' | b'M' => 20,
        b'g' | b'G' => 30,
        _ => return number(text),
    };
    let number = number(&text[..text.len() - 1])?;
    number.checked_mul(1 << shift).filter(|&bytes| usize::try_from(bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(text: &str) -> String {
        let parameters = GcParameters::parse(text);
        assert!(!parameters.is_wrong, "{text}");
        parameters.messages
    }

    #[test]
    fn sizes_have_suffixes() {
        let parameters = GcParameters::parse("max-heap-size=64m,,nursery-size=512K,major=marksweep-conc,soft-heap-limit=1k");
        assert_eq!((parameters.max_heap, parameters.nursery), (Some(64 << 20), Some(512 << 10)));
        assert_eq!((parameters.messages.as_str(), parameters.is_wrong), ("", false));
        assert_eq!(GcParameters::parse(""), GcParameters::default());
    }

    #[test]
    fn what_is_wrong_is_said_as_mono_says_it() {
        for (text, expected) in [
            ("max-heap-size=", "`max-heap-size` must be an integer."),
            ("max-heap-size=20x", "`max-heap-size` must be an integer."),
            ("nursery-size=3m", "`nursery-size` must be a power of two. - Using default value."),
            ("major=foo", "Unknown major collector `foo'. - Using default instead."),
            ("mode=x", "Unknown mode `x'. - Using default configurations."),
            ("save-target-ratio=5", "`save-target-ratio` must be between 0.10 - 2.00. - Using default value."),
        ] {
            assert_eq!(warning(text), format!("Warning: In environment variable `MONO_GC_PARAMS': {expected}\n"));
        }
        assert_eq!(GcParameters::parse("max-heap-size=5").max_heap, Some(LEAST_HEAP));
        assert_eq!(GcParameters::parse("soft-heap-limit=64m,max-heap-size=32m").max_heap, Some(64 << 20));
        let unknown = warning("nope=1,promotion-age=3");
        assert_eq!(unknown.matches(USAGE).count(), 1, "{unknown}");
        assert!(unknown.ends_with("Unknown option `promotion-age=3`. - Ignoring.\n"), "{unknown}");
        for text in ["evacuation-threshold=200", "minor=split,promotion-age=100"] {
            assert!(GcParameters::parse(text).is_wrong, "{text}");
        }
    }
}
