// Prints what Mono knows of cultures (no argument) or regions (any argument), one a line, columns separated by tabulators and
// lists by `|`. The columns are those that cultures.rs reads.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Reflection;
using System.Runtime.Serialization;

class Extract
{
    const BindingFlags Any = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;

    static object Field(object from, string name) { return from.GetType().GetField(name, Any).GetValue(from); }

    static string Text(object value)
    {
        var list = value as string[];
        var text = list != null ? string.Join("|", list.Select(item => Checked(item ?? ""))) : Checked(Convert.ToString(value, CultureInfo.InvariantCulture));
        return text;
    }

    static string Checked(string text)
    {
        if (text.IndexOfAny(new[] { '|', '\t', '\n' }) >= 0)
            throw new Exception("a separator in " + text);
        return text;
    }

    static string Sizes(int[] sizes) { return string.Join("|", sizes); }

    static object Filled(string type, string method, params object[] arguments)
    {
        var made = FormatterServices.GetUninitializedObject(typeof(CultureInfo).Assembly.GetType("System.Globalization." + type));
        made.GetType().GetMethod(method, Any).Invoke(made, arguments);
        return made;
    }

    static IEnumerable<string> Columns(CultureInfo culture)
    {
        foreach (var name in "m_name cultureID parent_lcid englishname nativename iso3lang iso2lang win3lang territory native_calendar_names default_calendar_type".Split(' '))
            yield return Text(Field(culture, name));
        var text = culture.TextInfo;
        yield return text.ANSICodePage + "|" + text.EBCDICCodePage + "|" + text.MacCodePage + "|" + text.OEMCodePage;
        yield return text.IsRightToLeft ? "1" : "0";
        yield return text.ListSeparator;

        var index = Field(culture, "datetime_index");
        var data = Filled("CultureData", "fill_culture_data", index);
        foreach (var name in "sAM1159 sPM2359 sTimeSeparator saLongTimes saShortTimes iFirstDayOfWeek iFirstWeekOfYear".Split(' '))
            yield return Text(Field(data, name));
        var calendar = Filled("CalendarData", "fill_calendar_data", culture.Name.ToLowerInvariant(), 1);
        foreach (var name in "sNativeName saShortDates saYearMonths saLongDates sMonthDay saDayNames saAbbrevDayNames saSuperShortDayNames saMonthNames saAbbrevMonthNames saMonthGenitiveNames saAbbrevMonthGenitiveNames".Split(' '))
            yield return Text(Field(calendar, name));

        var number = culture.NumberFormat;
        yield return Text(number.CurrencyDecimalDigits);
        yield return Text(number.CurrencyDecimalSeparator);
        yield return Text(number.CurrencyGroupSeparator);
        yield return Sizes(number.CurrencyGroupSizes);
        yield return Text(number.CurrencyNegativePattern);
        yield return Text(number.CurrencyPositivePattern);
        yield return Text(number.CurrencySymbol);
        yield return Text(number.NaNSymbol);
        yield return Text(number.NegativeInfinitySymbol);
        yield return Text(number.NegativeSign);
        yield return Text(number.NumberDecimalDigits);
        yield return Text(number.NumberDecimalSeparator);
        yield return Text(number.NumberGroupSeparator);
        yield return Sizes(number.NumberGroupSizes);
        yield return Text(number.NumberNegativePattern);
        yield return Text(number.PerMilleSymbol);
        yield return Text(number.PercentNegativePattern);
        yield return Text(number.PercentPositivePattern);
        yield return Text(number.PercentSymbol);
        yield return Text(number.PositiveInfinitySymbol);
        yield return Text(number.PositiveSign);
    }

    static void Main(string[] arguments)
    {
        Console.OutputEncoding = new System.Text.UTF8Encoding(false);
        var cultures = CultureInfo.GetCultures(CultureTypes.AllCultures).Where(culture => culture.Name != "");
        if (arguments.Length == 0) {
            foreach (var culture in cultures)
                Console.WriteLine(string.Join("\t", Columns(culture)));
            return;
        }
        var names = cultures.Select(culture => (string)Field(culture, "territory")).Where(name => !string.IsNullOrEmpty(name));
        for (char first = 'A'; first <= 'Z'; first++)
            for (char second = 'A'; second <= 'Z'; second++)
                names = names.Concat(new[] { "" + first + second });
        foreach (var name in names.Distinct().OrderBy(name => name, StringComparer.Ordinal)) {
            RegionInfo region;
            try { region = new RegionInfo(name); } catch (ArgumentException) { continue; }
            var fields = "iso2Name regionId iso3Name win3Name englishName nativeName currencySymbol isoCurrencySymbol currencyEnglishName currencyNativeName";
            Console.WriteLine(string.Join("\t", fields.Split(' ').Select(field => Text(Field(region, field)))));
        }
    }
}
