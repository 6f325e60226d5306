using System;
using System.Globalization;
using System.Linq;
using System.Text;

class Cultures
{
    static string Describe(CultureInfo culture)
    {
        var number = culture.NumberFormat;
        var dates = culture.DateTimeFormat;
        var when = new DateTime(2021, 11, 9, 15, 6, 7);
        var text = new StringBuilder();
        text.Append(culture.LCID).Append(culture.EnglishName).Append(culture.NativeName).Append(culture.Parent.Name);
        text.Append(culture.ThreeLetterISOLanguageName).Append(culture.ThreeLetterWindowsLanguageName).Append(culture.IsNeutralCulture);
        text.Append(culture.TextInfo.ListSeparator).Append(culture.TextInfo.ANSICodePage).Append(culture.TextInfo.IsRightToLeft);
        foreach (var format in "C N P G3 E".Split(' '))
            text.Append((-1234567.891).ToString(format, culture)).Append(0.5.ToString(format, culture));
        text.Append(string.Join(",", number.CurrencyGroupSizes)).Append(number.NaNSymbol).Append(number.PositiveInfinitySymbol);
        foreach (var format in "d D f F g G m t T y".Split(' '))
            text.Append(when.ToString(format, culture));
        text.Append(string.Join(",", dates.MonthGenitiveNames)).Append(string.Join(",", dates.AbbreviatedDayNames)).Append(string.Join(",", dates.ShortestDayNames));
        text.Append(dates.FirstDayOfWeek).Append(dates.CalendarWeekRule).Append(culture.Calendar.GetType().Name);
        return text.ToString();
    }

    static uint Hash(string text) { return text.Aggregate(2166136261u, (hash, unit) => unchecked((hash ^ unit) * 16777619u)); }

    static void Main()
    {
        var all = CultureInfo.GetCultures(CultureTypes.AllCultures);
        Console.WriteLine(all.Length + " " + CultureInfo.GetCultures(CultureTypes.NeutralCultures).Length);
        foreach (var culture in all)
            Console.WriteLine("{0} {1:x8}", culture.Name, Hash(Describe(culture)));

        var german = CultureInfo.GetCultureInfo("de-DE");
        Console.WriteLine((-1234.5).ToString("C", german) + " " + new DateTime(2021, 3, 4).ToString("D", german) + " " + double.Parse("1.234,5", german));
        Console.WriteLine("istanbul".ToUpper(new CultureInfo("tr-TR")).Select(unit => (int)unit).First());
        foreach (var name in new[] { "DE", "jp", "fr-CA", "XX" }) {
            try {
                var region = new RegionInfo(name);
                Console.WriteLine(region.EnglishName + " " + region.ThreeLetterISORegionName + " " + region.ISOCurrencySymbol + " " + region.GeoId);
            } catch (ArgumentException e) {
                Console.WriteLine(e.Message.Split('\n')[0]);
            }
        }
        try { new CultureInfo("xx-YY"); } catch (CultureNotFoundException e) { Console.WriteLine(e.Message.Split('\n')[0]); }

        var words = new[] { "c\u00f4te", "cote", "cot\u00e9", "C\u00f4te", "z", "a", "A", "\u00e4", "oe", "\u0153" };
        foreach (var name in new[] { "fr-FR", "de-DE", "sv-SE", "" }) {
            Array.Sort(words, StringComparer.Create(new CultureInfo(name), false));
            Console.WriteLine(string.Join(" ", words.Select(word => string.Concat(word.Select(unit => unit < 128 ? "" + unit : ((int)unit).ToString("x"))))));
        }
    }
}
