// DeflateStream and GZipStream: both ways, what Mono compressed, damaged data, and where the base stream stands.
using System;
using System.IO;
using System.IO.Compression;
using System.Text;

/// A base stream that gives little at once and fails when told to.
class Slow : MemoryStream {
    public int Piece = int.MaxValue;
    public bool Fails;
    public int Reads;
    public Slow() { }
    public Slow(byte[] data) : base(data) { }
    public override int Read(byte[] buffer, int offset, int count) {
        Reads++;
        if (Fails) throw new TimeoutException("read");
        return base.Read(buffer, offset, Math.Min(count, Piece));
    }
    public override void Write(byte[] buffer, int offset, int count) {
        if (Fails) throw new TimeoutException("write");
        base.Write(buffer, offset, count);
    }
}

static class Program {
    const string Sentence = "What Mono compressed: the quick brown fox jumps over the lazy dog, the lazy dog sleeps, the quick brown fox jumps again.";
    // Sentence and Text(3000), compressed by Mono.
    static readonly byte[] SentenceDeflate = Convert.FromBase64String("C89ILFHwzc/LV0jOzy0oSi0uTk2xUijJSFUoLM1MzlZIKsovz1NIy69QyCrNLShWyC9LLQJL5yRWVSqk5KfroPAUinNSUwuKdfCYkJiemJmnBwA=");
    static readonly byte[] SentenceGzip = Convert.FromBase64String("H4sIAAAAAAAAAwvPSCxR8M3Py1dIzs8tKEotLk5NsVIoyUhVKCzNTM5WSCrKL89TSMuvUMgqzS0oVsgvSy0CS+ckVlUqpOSn66DwFIpzUlMLinXwmJCYnpiZpwcArc9ys3gAAAA=");
    static readonly byte[] TextDeflate = Convert.FromBase64String("hVZLdoMwDNz3FBygr3eiCbRZBPpCNr19kSVrRpLzuggBW/8Zyb7s95/HchzLdXos8/XjbV+nC9bmr/m2Tc/vZZv27bLog/ZvxzRv1+lUOp6n/r0vkMjn73M5RKLLigl50Y0kfcrJivq974/lnZTaojlqMXnIaks/247KljA8mOCgvcc84MVCP58qbTv6IfsUiXyKHZFPlaLYVDULiC7ndtpo/+6iKXDEGpXsn2+m6tVtkctHiylXw0JYATAU1OZGW+bFXMSYGSXNkTIl2NqrWdAVlYtkKmuGjZrwZCvL4M45gYRQuCamJBAbRIJCFcMReTnNHBE8vOwuGukUEmAMEaDWPGYFCGSD2RFR15IUtrGCGABnid5BlPqdPKp57iB+MpoFv/Fr5xsKiIFgFewFRVEjU6BakeM5cdbcaa52wrt1yqh6mjX3FcoFZDlvowuXXSOKLKAW3TzHMFzypCszMQ6F4IQbLQwB56/3mU62Uj+Py0HXepsWCbn9AF33QztDtJC2j2WHqheiz35KSFWon63sXJ/ceeoAk4rduoaGz1sv2cs4lPkBN972YPELaW6oQnfWVNRXECiOORYtdoiRfdLTWdSP3kDIemaYaDFe3BfV7J6jzBOe8JYfaZW6YHTkaMJhmLgde2aQT2CmD+hAGapavDYEDqcjm24bbjVjFEedR+dKoPcw5X798KmEQ3xwM6JWcwe3ANENFYipISwabVRoHo44O2nC01nEZZLlf3uPQEgjCV2JiAlIIJCOJB92QCZe7rZyzcoHQcFjxXzhsNPVdtxHw/uNDuY/");
    static readonly byte[] TextGzip = Convert.FromBase64String("H4sIAAAAAAAAA4VWS3aDMAzc9xQcoK93ogm0WQT6Qja9fZEla0aS87oIAVv/Gcm+7Pefx3Icy3V6LPP1421fpwvW5q/5tk3P72Wb9u2y6IP2b8c0b9fpVDqep/69L5DI5+9zOUSiy4oJedGNJH3KyYr6ve+P5Z2U2qI5ajF5yGpLP9uOypYwPJjgoL3HPODFQj+fKm07+iH7FIl8ih2RT5Wi2FQ1C4gu53baaP/uoilwxBqV7J9vpurVbZHLR4spV8NCWAEwFNTmRlvmxVzEmBklzZEyJdjaq1nQFZWLZCprho2a8GQry+DOOYGEULgmpiQQG0SCQhXDEXk5zRwRPLzsLhrpFBJgDBGg1jxmBQhkg9kRUdeSFLaxghgAZ4neQZT6nTyqee4gfjKaBb/xa+cbCoiBYBXsBUVRI1OgWpHjOXHW3GmudsK7dcqoepo19xXKBWQ5b6MLl10jiiygFt08xzBc8qQrMzEOheCEGy0MAeev95lOtlI/j8tB13qbFgm5/QBd90M7Q7SQto9lh6oXos9+SkhVqJ+t7Fyf3HnqAJOK3bqGhs9bL9nLOJT5ATfe9mDxC2luqEJ31lTUVxAojjkWLXaIkX3S01nUj95AyHpmmGgxXtwX1eyeo8wTnvCWH2mVumB05GjCYZi4HXtmkE9gpg/oQBmqWrw2BA6nI5tuG241YxRHnUfnSqD3MOV+/fCphEN8cDOiVnMHtwDRDRWIqSEsGm1UaB6OODtpwtNZxGWS5X97j0BIIwldiYgJSCCQjiQfdkAmXu62cs3KB0HBY8V84bDT1XbcR8P7jQ7mP/+yMAK4CwAA");

    static uint seed;
    static int Next(int limit) { seed = seed * 1664525 + 1013904223; return (int)((seed >> 8) % (uint)limit); }
    static byte[] Noise(int length) {
        seed = 7;
        var data = new byte[length];
        for (int i = 0; i < length; i++) data[i] = (byte)Next(256);
        return data;
    }
    internal static byte[] Text(int length) {
        seed = 3;
        string[] words = { "the ", "stream ", "of ", "bytes ", "is ", "compressed ", "again ", "and ", "once ", "more, ", "then ", "read.\n" };
        var text = new StringBuilder();
        while (text.Length < length) text.Append(words[Next(words.Length)]);
        return Encoding.ASCII.GetBytes(text.ToString(0, length));
    }

    static Stream Open(bool gzip, Stream stream, CompressionMode mode, bool leaveOpen = false) {
        return gzip ? (Stream)new GZipStream(stream, mode, leaveOpen) : new DeflateStream(stream, mode, leaveOpen);
    }
    static byte[] Compress(bool gzip, byte[] data, int step) {
        var stream = new MemoryStream();
        using (var compress = Open(gzip, stream, CompressionMode.Compress, true))
            for (int i = 0; i < data.Length; i += step) compress.Write(data, i, Math.Min(step, data.Length - i));
        return stream.ToArray();
    }
    static byte[] ReadAll(Stream stream, int step) {
        var result = new MemoryStream();
        var buffer = new byte[step];
        for (int count; (count = stream.Read(buffer, 0, step)) > 0;) result.Write(buffer, 0, count);
        return result.ToArray();
    }
    static bool Same(byte[] a, byte[] b) {
        if (a.Length != b.Length) return false;
        for (int i = 0; i < a.Length; i++) if (a[i] != b[i]) return false;
        return true;
    }
    static string Try(Func<object> action) {
        try { return "" + action(); } catch (Exception e) { return e.GetType().Name + ": " + e.Message; }
    }

    static void BothWays(bool gzip) {
        foreach (int size in new[] { 0, 1, 4095, 4096, 4097, 1 << 20 })
            foreach (var data in new[] { Text(size), Noise(size) }) {
                var packed = Compress(gzip, data, size > 5000 ? 60000 : 100);
                bool same = Same(data, ReadAll(Open(gzip, new MemoryStream(packed), CompressionMode.Decompress), 100000));
                bool slow = size > 5000 || Same(data, ReadAll(Open(gzip, new Slow(packed) { Piece = 3 }, CompressionMode.Decompress), 7));
                Console.WriteLine(gzip + " " + size + ": " + same + " " + slow + " " + (packed.Length == 0) + " " + (packed.Length < data.Length));
            }
    }

    static void FromMono(bool gzip) {
        var sentence = gzip ? SentenceGzip : SentenceDeflate;
        var text = gzip ? TextGzip : TextDeflate;
        Console.WriteLine(Encoding.ASCII.GetString(ReadAll(Open(gzip, new MemoryStream(sentence), CompressionMode.Decompress), 11)));
        Console.WriteLine(Same(Text(3000), ReadAll(Open(gzip, new Slow(text) { Piece = 1 }, CompressionMode.Decompress), 64)));

        // What follows the end is left alone, but was read in pieces of 4096 bytes.
        var followed = new byte[10000];
        for (int i = 0; i < followed.Length; i++) followed[i] = 0xee;
        text.CopyTo(followed, 0);
        var stream = new Slow(followed);
        var decompress = Open(gzip, stream, CompressionMode.Decompress, true);
        Console.WriteLine(decompress.ReadByte() + " at " + stream.Position + ", " + ReadAll(decompress, 5000).Length + " at " + stream.Position + ", " + decompress.Read(new byte[9], 0, 9) + " after " + stream.Reads);

        // Data that stop early end at any byte without an error.
        int ends = 0;
        bool starts = true;
        for (int length = 0; length < sentence.Length; length++) {
            var cut = new byte[length];
            Array.Copy(sentence, cut, length);
            var part = Encoding.ASCII.GetString(ReadAll(Open(gzip, new MemoryStream(cut), CompressionMode.Decompress), 1000));
            starts &= Sentence.StartsWith(part, StringComparison.Ordinal);
            if (part.Length == Sentence.Length) ends++;
        }
        Console.WriteLine(starts + " " + ends);
        var half = new byte[text.Length / 2];
        Array.Copy(text, half, half.Length);
        stream = new Slow(half);
        Console.WriteLine(ReadAll(Open(gzip, stream, CompressionMode.Decompress), 100000).Length + " after " + stream.Reads);
        stream = new Slow(new byte[0]);
        Console.WriteLine(Open(gzip, stream, CompressionMode.Decompress).ReadByte() + " after " + stream.Reads);

        // Damaged data: what was right before is read if it is asked for in small pieces. How much that is within a block is zlib's affair.
        foreach (int index in new[] { 0, 1, 2, 3, 40, text.Length - 9, text.Length - 5, text.Length - 1 }) {
            var damaged = (byte[])text.Clone();
            damaged[index] ^= 0xff;
            foreach (int step in new[] { 1, 100000 }) {
                var read = new MemoryStream();
                decompress = Open(gzip, new MemoryStream(damaged), CompressionMode.Decompress);
                var buffer = new byte[step];
                Func<object> all = () => { for (int count; (count = decompress.Read(buffer, 0, step)) > 0;) read.Write(buffer, 0, count); return "end"; };
                Console.WriteLine(index + " by " + step + ": " + Try(all) + ", " + (index > 40 ? read.Length : read.Length / 10) + ", " + Try(all));
            }
        }
    }

    static void Rules(bool gzip) {
        var stream = new Slow();
        var compress = Open(gzip, stream, CompressionMode.Compress, true);
        Console.WriteLine(compress.CanRead + " " + compress.CanWrite + " " + compress.CanSeek);
        Console.WriteLine(Try(() => compress.ReadByte()) + "; " + Try(() => compress.Length) + "; " + Try(() => compress.Seek(0, SeekOrigin.Begin)));
        compress.Flush();
        compress.Write(new byte[0], 0, 0);
        compress.Write(new byte[] { 1, 2, 3 }, 0, 3);
        compress.Flush();
        // Only what the container begins with is there yet.
        Console.WriteLine(stream.Length);
        compress.Write(new byte[] { 9, 4, 5, 9 }, 1, 2);
        compress.Flush();
        compress.Close();
        compress.Close();
        Console.WriteLine(stream.CanRead + " " + compress.CanWrite + " " + Try(() => { compress.Flush(); return 0; }) + "; " + Try(() => { compress.WriteByte(1); return 0; }));
        stream.Position = 0;
        var decompress = Open(gzip, stream, CompressionMode.Decompress);
        Console.WriteLine(decompress.CanRead + " " + decompress.CanWrite + " " + decompress.CanSeek);
        Console.WriteLine(decompress.Read(new byte[0], 0, 0) + " " + Try(() => { decompress.WriteByte(1); return 0; }) + "; " + Try(() => decompress.Read(new byte[2], 1, 2)) + "; " + Try(() => decompress.Read(new byte[2], 1, -1)));
        decompress.Flush();
        Console.WriteLine(BitConverter.ToString(ReadAll(decompress, 2)));
        decompress.Dispose();
        Console.WriteLine(stream.CanRead + " " + decompress.CanRead + " " + Try(() => decompress.ReadByte()));

        decompress = Open(gzip, new MemoryStream(gzip ? TextGzip : TextDeflate), CompressionMode.Decompress);
        var buffer = new byte[4000];
        Console.WriteLine(decompress.EndRead(decompress.BeginRead(buffer, 10, 3990, null, null)) + " " + buffer[9] + " " + (char)buffer[10]);

        // Exceptions of the base stream.
        stream = new Slow { Fails = true };
        compress = Open(gzip, stream, CompressionMode.Compress, true);
        var noise = Noise(200000);
        Console.WriteLine(Try(() => { compress.Write(noise, 0, noise.Length); compress.Flush(); return "written"; }));
        stream.Fails = false;
        Console.WriteLine(Try(() => { compress.Write(noise, 0, 10); compress.Close(); return "closed"; }));
        compress = Open(gzip, new Slow { Fails = true }, CompressionMode.Compress, true);
        Console.WriteLine(Try(() => { compress.Write(noise, 0, 10); compress.Close(); return "closed"; }));
        stream = new Slow(gzip ? TextGzip : TextDeflate) { Piece = 50 };
        decompress = Open(gzip, stream, CompressionMode.Decompress);
        int first = decompress.ReadByte();
        stream.Fails = true;
        string failed = Try(() => ReadAll(decompress, 3000).Length < 3000);
        stream.Fails = false;
        Console.WriteLine(first + " " + failed + " " + stream.Reads + " " + (ReadAll(decompress, 3000).Length < 3000));
        Console.WriteLine(Try(() => Open(gzip, null, CompressionMode.Compress)) + "; " + Try(() => Open(gzip, stream, (CompressionMode)5)));
    }

    static void Main() {
        foreach (bool gzip in new[] { false, true }) {
            BothWays(gzip);
            FromMono(gzip);
            Rules(gzip);
        }
    }
}
