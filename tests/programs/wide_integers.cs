// 64-bit arithmetic over all pairs of the values at which something changes: per operation a hash over all results and exceptions,
// so that every target must agree with Mono on amd64.
using System;
using System.Threading;

static class Program {
    static long[] edges;
    static ulong hash;

    static void Add(ulong value) { hash = (hash ^ value) * 1099511628211UL; hash ^= hash >> 29; }
    static void Add(long value) { Add((ulong)value); }
    static void Add(bool value) { Add(value ? 3UL : 5UL); }
    // A NaN has many forms, and machines choose differently among them.
    static void Add(double value) { Add(double.IsNaN(value) ? 7L : BitConverter.DoubleToInt64Bits(value)); }

    static void Report(string name) {
        Console.WriteLine("{0,-24} {1:x16}", name, hash);
        hash = 14695981039346656037UL;
    }

    static void Pairs(string name, Action<long, long> operation) {
        foreach (var a in edges)
            foreach (var b in edges)
                try { operation(a, b); } catch (OverflowException) { Add(11L); } catch (DivideByZeroException) { Add(13L); }
        Report(name);
    }

    static void Each(string name, Action<long> operation) {
        foreach (var a in edges)
            try { operation(a); } catch (OverflowException) { Add(11L); }
        Report(name);
    }

    static void Floats(string name, Action<double> operation) {
        foreach (var a in edges) {
            foreach (var b in new[] { (double)a, (double)(ulong)a, a + 0.5, a * 1.0000000000000002, (float)a, 1.0 / a }) {
                try { operation(b); } catch (OverflowException) { Add(11L); }
                try { operation(-b); } catch (OverflowException) { Add(11L); }
            }
        }
        foreach (var b in new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity, -0.0, double.Epsilon, 1.8446744073709552e19, -9.2233720368547758e18 })
            try { operation(b); } catch (OverflowException) { Add(11L); }
        Report(name);
    }

    static void Main() {
        var list = new System.Collections.Generic.List<long> { 10, -10, 1000, 0x0123456789abcdef, 0x5555555555555555, 86400000000, -86400000001, 0xffff0000, 0x80000001, 6700417 };
        foreach (var power in new[] { 0, 1, 2, 7, 8, 15, 16, 30, 31, 32, 33, 47, 62, 63 })
            foreach (var delta in new[] { -1, 0, 1 }) { list.Add((1L << power) + delta); list.Add(-((1L << power) + delta)); }
        edges = list.ToArray();
        hash = 14695981039346656037UL;

        Pairs("add", (a, b) => Add(a + b));
        Pairs("subtract", (a, b) => Add(a - b));
        Pairs("multiply", (a, b) => Add(a * b));
        Pairs("divide", (a, b) => Add(a / b));
        Pairs("remainder", (a, b) => Add(a % b));
        Pairs("divide unsigned", (a, b) => Add((ulong)a / (ulong)b));
        Pairs("remainder unsigned", (a, b) => Add((ulong)a % (ulong)b));
        Pairs("and", (a, b) => Add(a & b));
        Pairs("or", (a, b) => Add(a | b));
        Pairs("exclusive or", (a, b) => Add(a ^ b));
        Pairs("shift left", (a, b) => Add(a << (int)b));
        Pairs("shift right", (a, b) => Add(a >> (int)b));
        Pairs("shift right unsigned", (a, b) => Add((ulong)a >> (int)b));
        Pairs("checked add", (a, b) => Add(checked(a + b)));
        Pairs("checked subtract", (a, b) => Add(checked(a - b)));
        Pairs("checked multiply", (a, b) => Add(checked(a * b)));
        Pairs("checked add unsigned", (a, b) => Add(checked((ulong)a + (ulong)b)));
        Pairs("checked sub unsigned", (a, b) => Add(checked((ulong)a - (ulong)b)));
        Pairs("checked mul unsigned", (a, b) => Add(checked((ulong)a * (ulong)b)));
        Pairs("equal", (a, b) => Add(a == b));
        Pairs("less", (a, b) => Add(a < b));
        Pairs("less or equal", (a, b) => Add(a <= b));
        Pairs("less unsigned", (a, b) => Add((ulong)a < (ulong)b));
        Pairs("greater unsigned", (a, b) => Add((ulong)a > (ulong)b));
        Pairs("branches", (a, b) => { if (a >= b) Add(1L); if ((ulong)a <= (ulong)b) Add(2L); if (a != b) Add(3L); if (a > b) Add(4L); });
        Pairs("select", (a, b) => Add(a < b ? a : b));

        for (var count = 0; count < 64; count++) { var by = count; Each("shift by " + by, a => { Add(a << by); Add(a >> by); Add((ulong)a >> by); }); }
        Each("divide by constants", a => {
            Add(a / 1); Add(a / 2); Add(a / 3); Add(a / -3); Add(a / 7); Add(a / 10); Add(a / 1000); Add(a / 86400); Add(a / 10000000); Add(a / 4294967296); Add(a / long.MinValue); Add(a / 6148914691236517205);
            Add(a % 1); Add(a % 2); Add(a % 3); Add(a % -3); Add(a % 7); Add(a % 10); Add(a % 1000); Add(a % 86400); Add(a % 10000000); Add(a % 4294967296); Add(a % long.MinValue); Add(a % 6148914691236517205);
            var u = (ulong)a;
            Add(u / 1); Add(u / 2); Add(u / 3); Add(u / 7); Add(u / 10); Add(u / 1000); Add(u / 10000000); Add(u / 4294967296); Add(u / 0x8000000000000000); Add(u / ulong.MaxValue);
            Add(u % 1); Add(u % 2); Add(u % 3); Add(u % 7); Add(u % 10); Add(u % 1000); Add(u % 10000000); Add(u % 4294967296); Add(u % 0x8000000000000000); Add(u % ulong.MaxValue);
        });
        Each("multiply by constants", a => { Add(a * 0); Add(a * 1); Add(a * -1); Add(a * 2); Add(a * 3); Add(a * 10); Add(a * 4294967296); Add(a * 4294967297); Add(a * 0x123456789); });
        Each("negate, complement", a => { Add(-a); Add(~a); });
        Each("narrow", a => { Add((sbyte)a); Add((byte)a); Add((short)a); Add((ushort)a); Add((int)a); Add((uint)a); Add((long)(int)a); Add((ulong)(uint)a); });
        Each("to sbyte", a => Add(checked((sbyte)a)));
        Each("to byte", a => Add(checked((byte)a)));
        Each("to short", a => Add(checked((short)a)));
        Each("to ushort", a => Add(checked((ushort)a)));
        Each("to int", a => Add(checked((int)a)));
        Each("to uint", a => Add(checked((uint)a)));
        Each("to ulong", a => Add(checked((ulong)a)));
        Each("ulong to long", a => Add(checked((long)(ulong)a)));
        Each("ulong to int", a => Add(checked((int)(ulong)a)));
        Each("ulong to byte", a => Add(checked((byte)(ulong)a)));
        Each("to double", a => { Add((double)a); Add((double)(ulong)a); Add((float)a); });
        Floats("double to long", d => { if (d > -9.2e18 && d < 9.2e18) Add((long)d); });
        Floats("double to ulong", d => { if (d > -0.9 && d < 1.8e19) Add((ulong)d); });
        Floats("double to int", d => { if (d > -2147483648.0 && d < 2147483648.0) Add((int)d); });
        Floats("checked to long", d => Add(checked((long)d)));
        Floats("checked to ulong", d => Add(checked((ulong)d)));
        Floats("checked to int", d => Add(checked((int)d)));
        Floats("checked to uint", d => Add(checked((uint)d)));

        long cell = 0;
        Pairs("exchange", (a, b) => { cell = a; Add(Interlocked.Exchange(ref cell, b)); Add(Interlocked.Read(ref cell)); });
        Pairs("compare exchange", (a, b) => { cell = a; Add(Interlocked.CompareExchange(ref cell, 42, b)); Add(cell); });
        Pairs("interlocked add", (a, b) => { cell = a; Add(Interlocked.Add(ref cell, b)); Add(cell); });
        Each("increment, decrement", a => { cell = a; Add(Interlocked.Increment(ref cell)); Add(Interlocked.Decrement(ref cell)); Volatile.Write(ref cell, a); Add(Volatile.Read(ref cell)); });
    }
}
