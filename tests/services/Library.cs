// Text, collections, cultures, time, files, processes: what the class library does with help of the runtime.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Runtime.Serialization.Formatters.Binary;
using System.Text;
using System.Text.RegularExpressions;
using static Services;

static class Library
{
    struct Plain { public int A; public long B; }

    static IEnumerable<int> Numbers(int count) { for (int i = 0; i < count; i++) yield return i; }

    static void WithFile(Action<string> use)
    {
        var file = Path.GetTempFileName();
        use(file);
        File.Delete(file);
    }

    public static void Run()
    {
        Measure("enum-to-string", 200000, count => { for (int i = 0; i < count; i++) Sink += ((DayOfWeek)(i % 7)).ToString().Length; });
        Measure("enum-parse", 100000, count => { for (int i = 0; i < count; i++) Sink += (int)Enum.Parse(typeof(DayOfWeek), "Friday"); });
        Measure("structure-equals-and-hash", 500000, count => {
            object one = new Plain { A = 1 }, other = new Plain { A = 1 };
            for (int i = 0; i < count; i++) Sink += one.Equals(other) ? one.GetHashCode() & 1 : 0;
        });
        Measure("iterator", 3000000, count => { foreach (var number in Numbers(count)) Sink += number; });
        Measure("dictionary-of-int", 2000000, count => { var d = new Dictionary<int, int>(); for (int i = 0; i < count; i++) d[i & 0xffff] = i; });
        Measure("dictionary-of-string", 1000000, count => {
            var keys = Enumerable.Range(0, 1000).Select(number => "key" + number).ToArray();
            var d = new Dictionary<string, int>();
            for (int i = 0; i < count; i++) d[keys[i % 1000]] = i;
        });
        Measure("concurrent-dictionary", 500000, count => { var d = new ConcurrentDictionary<int, int>(); for (int i = 0; i < count; i++) d[i & 0xffff] = i; });
        Measure("sort-array", 300000, count => { var random = new Random(1); var numbers = new int[count]; for (int i = 0; i < count; i++) numbers[i] = random.Next(); Array.Sort(numbers); });
        Measure("sort-list-by-delegate", 200000, count => { var random = new Random(1); var numbers = Enumerable.Range(0, count).Select(_ => random.Next()).ToList(); numbers.Sort((one, other) => one.CompareTo(other)); });
        Measure("string-concat", 1000000, count => { for (int i = 0; i < count; i++) Sink += ("a" + Sink.GetType().Name + "b").Length; });
        Measure("string-format", 200000, count => { for (int i = 0; i < count; i++) Sink += string.Format("{0}: {1:x} {2}", i, i, "s").Length; });
        Measure("int-to-string-and-parse", 500000, count => { for (int i = 0; i < count; i++) Sink += int.Parse(i.ToString()); });
        Measure("double-to-string", 200000, count => { for (int i = 0; i < count; i++) Sink += (i * 1.1).ToString(CultureInfo.InvariantCulture).Length; });
        Measure("double-parse", 200000, count => { for (int i = 0; i < count; i++) Sink += (int)double.Parse("123.456", CultureInfo.InvariantCulture); });
        Measure("decimal", 300000, count => { decimal d = 1; for (int i = 0; i < count; i++) d = d * 1.0001m + 0.5m - d / 3m; Sink += (int)d; });
        Measure("compare-by-culture", 300000, count => { for (int i = 0; i < count; i++) Sink += string.Compare("hello world", "Hello World", StringComparison.CurrentCultureIgnoreCase); });
        Measure("index-of-by-culture", 100000, count => { for (int i = 0; i < count; i++) Sink += "hello big world of text".IndexOf("world"); });
        Measure("to-upper", 300000, count => { for (int i = 0; i < count; i++) Sink += "hello world".ToUpper().Length; });
        Measure("split-and-join", 200000, count => { for (int i = 0; i < count; i++) Sink += string.Join("-", "a,b,c,d".Split(',')).Length; });
        Measure("string-builder", 3000000, count => { var text = new StringBuilder(); for (int i = 0; i < count; i++) text.Append('x'); Sink += text.Length; });
        Measure("utf-8", 500000, count => { for (int i = 0; i < count; i++) Sink += Encoding.UTF8.GetString(Encoding.UTF8.GetBytes("hello wörld")).Length; });
        Measure("regex", 50000, count => { var regex = new Regex(@"(\w+)@(\w+)\.com"); for (int i = 0; i < count; i++) Sink += regex.Match("contact: someone@example.com now").Length; });
        Measure("now", 300000, count => { for (int i = 0; i < count; i++) Sink += DateTime.Now.Second; });
        Measure("date-parse-and-format", 50000, count => { for (int i = 0; i < count; i++) Sink += DateTime.Parse("2020-01-02 03:04:05", CultureInfo.InvariantCulture).ToString("o").Length; });
        Measure("file-write-and-read", 2000, count => WithFile(file => { for (int i = 0; i < count; i++) { File.WriteAllText(file, "hello"); Sink += File.ReadAllText(file).Length; } }));
        Measure("file-lines", 200000, count => WithFile(file => {
            using (var writer = new StreamWriter(file)) for (int i = 0; i < count; i++) writer.WriteLine("line " + i);
            foreach (var line in File.ReadLines(file)) Sink += line.Length;
        }));
        Measure("file-exists", 50000, count => { for (int i = 0; i < count; i++) Sink += File.Exists("/etc/passwd") ? 1 : 0; });
        Measure("list-folder", 200, count => { for (int i = 0; i < count; i++) Sink += Directory.GetFiles("/usr/lib/mono/4.5").Length; });
        Measure("start-process", 50, count => { for (int i = 0; i < count; i++) using (var process = Process.Start(new ProcessStartInfo("/bin/true") { UseShellExecute = false })) process.WaitForExit(); });
        Measure("serialize", 500, count => {
            for (int i = 0; i < count; i++) {
                var formatter = new BinaryFormatter();
                var stream = new MemoryStream();
                formatter.Serialize(stream, new Dictionary<string, int> { { "a", 1 } });
                stream.Position = 0;
                ObjectSink = formatter.Deserialize(stream);
            }
        });
        Measure("compress-100-kb", 20, count => { for (int i = 0; i < count; i++) using (var zip = new GZipStream(new MemoryStream(), CompressionMode.Compress)) zip.Write(new byte[100000], 0, 100000); });
    }
}
