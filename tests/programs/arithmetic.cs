// Integer and float arithmetic at its edges.
using System;

static class Program {
    static int Divisions(int a, int b) { return a / b + a % b; }
    static void Attempt(string what, Func<object> action) {
        try { Console.WriteLine(what + " = " + action()); }
        catch (Exception error) { Console.WriteLine(what + ": " + error.GetType().Name); }
    }

    static void Main() {
        int[] ints = { 0, 1, -1, 7, -7, int.MaxValue, int.MinValue, 65536 };
        foreach (int a in ints)
            foreach (int b in ints) {
                Console.Write("{0} {1} {2} {3} {4} {5} ", a + b, a - b, a * b, a & b, a | b, a ^ b);
                Console.Write("{0} {1} {2} ", a << (b & 31), a >> (b & 31), (uint)a >> (b & 31));
                if (b != 0 && !(a == int.MinValue && b == -1)) Console.Write("{0} {1} {2} ", a / b, a % b, (uint)a / (uint)b);
                Console.WriteLine("{0}{1}{2}{3}", a < b, a <= b, (uint)a < (uint)b, a == b);
            }
        long[] longs = { 0, 1, -1, 1L << 32, -(1L << 33), long.MaxValue, long.MinValue, 1234567890123 };
        foreach (long a in longs)
            foreach (long b in longs) {
                Console.Write("{0} {1} {2} {3} ", a + b, a - b, a * b, a ^ b);
                Console.Write("{0} {1} {2} ", a << (int)(b & 63), a >> (int)(b & 63), (ulong)a >> (int)(b & 63));
                if (b != 0 && !(a == long.MinValue && b == -1)) Console.Write("{0} {1} {2} ", a / b, a % b, (ulong)a % (ulong)b);
                Console.WriteLine("{0}{1}", a < b, (ulong)a < (ulong)b);
            }
        int zero = ints[0], least = ints[6], minusOne = ints[2], most = ints[5];
        Attempt("1 / 0", () => 1 / zero);
        Attempt("1 % 0", () => 1 % zero);
        Attempt("1L / 0", () => 1L / zero);
        Attempt("min / -1", () => least / minusOne);
        Attempt("checked max + 1", () => checked(most + 1));
        Attempt("checked min - 1", () => checked(least - 1));
        Attempt("checked max * 2", () => checked(most * 2));
        Attempt("checked (byte)256", () => checked((byte)(zero + 256)));
        Attempt("checked (uint)-1", () => checked((uint)minusOne));
        Attempt("checked (sbyte)-128", () => checked((sbyte)(minusOne * 128)));
        Attempt("checked (int)1e10", () => checked((int)(1e10 + zero)));
        Attempt("checked (long)max", () => checked((long)(ulong.MaxValue - (ulong)zero)));
        Attempt("checked long", () => checked(longs[5] * 2));
        double[] doubles = { 0.0, -0.0, 1.5, -2.5, 1e300, double.Epsilon, double.NaN, double.PositiveInfinity, double.NegativeInfinity };
        foreach (double a in doubles)
            foreach (double b in doubles)
                Console.WriteLine("{0} {1} {2} {3} {4} {5}{6}{7}{8}{9}", a + b, a * b, a / b, a - b, a % b, a < b, a <= b, a == b, a != b, !(a >= b));
        float f = 16777216f;
        Console.WriteLine("{0} {1} {2}", f + 1f, (double)f + 1, (float)0.1 + (float)0.2);
        Console.WriteLine("{0} {1} {2} {3}", (int)(f - 16777218.9f), (long)(f * 2.9e15), (short)(f / 3), (sbyte)(f / 1e6));
        Console.WriteLine("{0} {1} {2} {3}", (double)ulong.MaxValue, (float)long.MinValue, (double)(uint)minusOne, (ulong)1.8e19);
        Console.WriteLine("{0} {1}", Divisions(17, 5), Divisions(-17, 5));
        for (int divisor = -10; divisor <= 10; divisor++) {
            if (divisor == 0) continue;
            Console.Write("{0}/{1} ", 1000003 / divisor, 1000003 % divisor);
        }
        Console.WriteLine();
        uint hash = 2166136261;
        for (int i = 0; i < 1000; i++) hash = (hash ^ (uint)i % 7) * 16777619;
        Console.WriteLine(hash);
        Console.WriteLine("{0} {1} {2} {3}", Math.Sqrt(2), Math.Pow(2, 0.5), Math.Sin(1), Math.Round(3.5));
        double half = 2.5;
        Console.WriteLine("{0} {1} {2} {3}", Math.Round(2.5), Math.Round(-0.5), Math.Round(half), Math.Round(0.49999999999999994));
        Console.WriteLine("{0} {1} {2}", Math.Max(3, -4), Math.Abs(-3.5), Math.Floor(-1.1));
    }
}
