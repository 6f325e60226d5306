// Strings, builders, formatting and parsing.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;

static class Program {
    static void Main() {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        string text = "The Quick brown Fox";
        Console.WriteLine(text.ToUpper() + "|" + text.ToLower() + "|" + text.Substring(4, 5) + "|" + text.IndexOf("brown") + "|" + text.Replace('o', '0') + "|" + text.Replace("Fox", "Dog"));
        Console.WriteLine(string.Join("-", text.Split(' ')) + "|" + text.Contains("Quick") + text.StartsWith("The") + text.EndsWith("x") + "|" + text.PadLeft(25) + "|" + text.PadRight(22, '.') + "|");
        Console.WriteLine("  trim me ".Trim() + "|" + "xxaxx".Trim('x') + "|" + text.Insert(3, "!") + "|" + text.Remove(3) + "|" + text.LastIndexOf('o'));
        Console.WriteLine(string.Compare("a", "B") + " " + string.CompareOrdinal("a", "B") + " " + "abc".CompareTo("abd") + " " + string.Equals("A", "a", StringComparison.OrdinalIgnoreCase));
        Console.WriteLine(new string('z', 3) + string.Concat("a", 1, 'c', null, 2.5) + string.Empty + "abc"[1] + string.Format("{0,5}|{1,-5}|{2:D4}|{3:X}|{4:F2}|{5:E3}|{6:P1}|{7:N0}", 1, 2, 3, 255, 3.14159, 12345.678, 0.256, 1234567));
        Console.WriteLine("{0:0.00} {0:#,##0.###} {1:00000} {2:yyyy-MM-ddTHH:mm:ss} {3:c} {4}", 1234.5678, 42, new DateTime(2001, 2, 3, 4, 5, 6), TimeSpan.FromSeconds(3661), -0.0);
        foreach (double value in new[] { 0.1, 1.0 / 3, 1e21, 1e-7, 123456789012345680, double.MaxValue, double.Epsilon, 100 }) Console.Write(value + " " + value.ToString("R") + " ");
        Console.WriteLine();
        foreach (float value in new[] { 0.1f, 1f / 3, 1e10f, 16777217f }) Console.Write(value + " ");
        Console.WriteLine();
        Console.WriteLine("{0} {1} {2} {3} {4}", int.Parse("-12"), int.Parse("ff", NumberStyles.HexNumber), double.Parse("1.5e3"), long.Parse("9223372036854775807"), decimal.Parse("1.10"));
        int parsed; double real; bool flag;
        Console.WriteLine("{0} {1} {2} {3}", int.TryParse("12x", out parsed), parsed, double.TryParse("abc", out real), bool.TryParse("True", out flag));
        foreach (string bad in new[] { "", "x", "99999999999", null }) try { int.Parse(bad); } catch (Exception error) { Console.Write(error.GetType().Name + " "); }
        Console.WriteLine();
        var builder = new StringBuilder();
        for (int i = 0; i < 50; i++) builder.Append(i).Append(i % 10 == 9 ? "\n" : " ");
        builder.Insert(0, "start ").Replace("1", "one").Remove(0, 6).AppendFormat("<{0}>", builder.Length).AppendLine();
        Console.Write(builder);
        var bytes = Encoding.UTF8.GetBytes("añ€😀"); Console.WriteLine(BitConverter.ToString(bytes) + " " + Encoding.UTF8.GetString(bytes).Length + " " + Encoding.Unicode.GetByteCount("ab") + " " + Encoding.ASCII.GetString(new byte[] { 72, 105 }));
        Console.WriteLine(char.IsLetter('é') + " " + char.IsDigit('5') + " " + char.ToUpper('ß') + char.ToUpperInvariant('é') + " " + char.GetUnicodeCategory('A') + " " + (int)char.GetNumericValue('8'));
        Console.WriteLine(Convert.ToBase64String(new byte[] { 1, 2, 3, 250 }) + " " + Convert.ToString(255, 2) + " " + Convert.ToInt32("777", 8) + " " + Convert.ToDouble("2.5") + " " + Convert.ToString(true));
        Console.WriteLine(string.Join(" ", "one two three two one".Split(' ').GroupBy(word => word).OrderBy(group => group.Key).Select(group => group.Key + group.Count())));
        var words = new List<string> { "pear", "Apple", "fig", "apple", "Zoo" }; words.Sort(StringComparer.Ordinal); Console.Write(string.Join(" ", words) + " | "); words.Sort(StringComparer.OrdinalIgnoreCase); Console.WriteLine(string.Join(" ", words.Select(word => word.ToLowerInvariant())));
        Console.WriteLine(ReferenceEquals(string.Intern("a" + "b".ToString()), "ab") + " " + "abc".GetHashCode().Equals("abc".GetHashCode()) + " " + ("x" + null + "y"));
        Console.WriteLine(long.MinValue + " " + ulong.MaxValue + " " + decimal.MaxValue + " " + float.MaxValue + " " + byte.MaxValue + " " + 'c' + " " + true);
        Console.WriteLine("{{{0}}} {1}", 1, "caf\u00e9 \"quoted\" \\ \t tab");
    }
}
