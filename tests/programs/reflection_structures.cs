// Structures of references that reflection passes and returns by address, while the collector runs in the callee: what they refer to lives.
using System;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Threading;

class Item { public int Number; public Item(int number) { Number = number; } }
struct Triple { public Item A, B, C; public long Mark; public int Sum { get { return A.Number + B.Number + C.Number; } } }
struct Large { public Triple T0, T1, T2, T3, T4, T5, T6, T7, T8, T9; public int Sum { get { return T0.Sum + T1.Sum + T2.Sum + T3.Sum + T4.Sum + T5.Sum + T6.Sum + T7.Sum + T8.Sum + T9.Sum; } } }

static class Program {
    static Triple Make(int number) { return new Triple { A = new Item(number), B = new Item(number + 1), C = new Item(number + 2), Mark = number }; }
    static Large MakeLarge(int number) {
        return new Large { T0 = Make(number), T1 = Make(number + 1), T2 = Make(number + 2), T3 = Make(number + 3), T4 = Make(number + 4),
                           T5 = Make(number + 5), T6 = Make(number + 6), T7 = Make(number + 7), T8 = Make(number + 8), T9 = Make(number + 9) };
    }
    // Allocates over what is free and collects on another thread, so that nothing here stays in registers.
    static void Collect() {
        var thread = new Thread(() => { GC.Collect(0); for (int i = 0; i < 2000; i++) new Item(-1000000); GC.Collect(); for (int i = 0; i < 2000; i++) new Item(-1000000); });
        thread.Start(); thread.Join();
    }

    // The arguments are replaced in the caller's array, so that the callee's copies alone keep the items.
    static object[] arguments;
    static void Forget() { for (int i = 0; i < arguments.Length; i++) arguments[i] = null; }

    // New items that are referred to by the callee's copy alone: made in frames that are gone and overwritten.
    [MethodImpl(MethodImplOptions.NoInlining)] static void Set(ref Triple triple, int number) { triple.A = new Item(number); triple.B = new Item(number); triple.C = new Item(number); }
    [MethodImpl(MethodImplOptions.NoInlining)] static void SetAll(ref Large large, int number) {
        Set(ref large.T0, number); Set(ref large.T1, number); Set(ref large.T2, number); Set(ref large.T3, number); Set(ref large.T4, number);
        Set(ref large.T5, number); Set(ref large.T6, number); Set(ref large.T7, number); Set(ref large.T8, number); Set(ref large.T9, number);
    }
    [MethodImpl(MethodImplOptions.NoInlining)] static int Overwrite(int depth, object a, object b, object c) { return depth == 0 ? 0 : Overwrite(depth - 1, c, a, b) + 1; }

    public static int Replace(Large large, int number) { SetAll(ref large, number); Overwrite(50, null, null, null); Collect(); return large.Sum; }
    public static int Take(Triple triple, int plus) { Forget(); Collect(); return triple.Sum + plus; }
    public static int TakeTwo(Triple first, Large second) { Forget(); Collect(); first.B = new Item(100); Collect(); return first.Sum * 1000 + second.Sum; }
    public static Triple Give(Triple triple) { Forget(); Collect(); var given = Make((int)triple.Mark + 1); Collect(); given.A = triple.A; return given; }
    public static Large GiveLarge(Large large) { Forget(); Collect(); large.T3 = Make(50); Collect(); return large; }
    public static int Fail(Large large) { Forget(); Collect(); throw new InvalidOperationException("sum " + large.Sum); }

    static object Invoke(string name, params object[] given) { arguments = given; return typeof(Program).GetMethod(name).Invoke(null, given); }

    static void Main() {
        for (int round = 0; round < 3; round++) {
            Console.WriteLine("take " + Invoke("Take", Make(10 * round), 5));
            Console.WriteLine("replace " + Invoke("Replace", MakeLarge(round), 3));
            Console.WriteLine("two " + Invoke("TakeTwo", Make(round), MakeLarge(round)));
            var triple = (Triple)Invoke("Give", Make(7));
            Collect();
            Console.WriteLine("give " + triple.Sum + " " + triple.Mark);
            var large = (Large)Invoke("GiveLarge", MakeLarge(round));
            Collect();
            Console.WriteLine("large " + large.Sum + " " + large.T3.Mark);
            try { Invoke("Fail", MakeLarge(20)); } catch (TargetInvocationException error) { Console.WriteLine(error.InnerException.Message); }
        }
    }
}
