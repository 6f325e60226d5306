// Handlers, filters, finally blocks, rethrow, and the order in which they run.
using System;
using System.Collections.Generic;

class Custom : Exception {
    public readonly int Code;
    public Custom(int code, Exception inner = null) : base("custom " + code, inner) { Code = code; }
}

class Counter {
    public object First, Second;
    public long Wide;
    public int Narrow;
}

static class Program {
    // Load and store are one access to memory on some machines.
    static string Change(Counter counter, int how) {
        try {
            if (how == 0) counter.Wide++;
            if (how == 1) counter.Narrow -= how;
            if (how == 2) { Counter none = null; none.Wide |= 5; }
            return counter == null ? "lost" : counter.Wide + counter.Narrow + "";
        } catch (NullReferenceException) { return "null"; }
    }

    static readonly List<string> log = new List<string>();
    static bool Note(string text, bool result) { log.Add(text); return result; }
    static void Flush(string title) { Console.WriteLine(title + ": " + string.Join(" ", log)); log.Clear(); }

    static int Nested(int how) {
        int result = 0;
        try {
            try {
                result += 1;
                if (how == 1) throw new Custom(1);
                if (how == 2) throw new InvalidOperationException("two");
                if (how == 3) return result;
                if (how == 4) { string none = null; result += none.Length; }
                if (how == 5) { var array = new int[2]; result += array[how]; }
                if (how == 6) { object text = "x"; result += (int)text; }
            } finally { log.Add("inner"); result += 10; }
            result += 100;
        } catch (Custom error) when (error.Code == 1 && Note("filter", how == 1)) {
            log.Add("custom"); result += 1000;
        } catch (NullReferenceException) { log.Add("null"); result += 2000;
        } catch (IndexOutOfRangeException) { log.Add("range"); result += 3000;
        } catch (InvalidCastException) { log.Add("cast"); result += 4000;
        } finally { log.Add("outer"); result += 10000; }
        return result;
    }

    static void Deep(int depth) {
        try { if (depth == 0) throw new Custom(99); Deep(depth - 1); }
        finally { log.Add("f" + depth); }
    }

    static void Rethrow() {
        try { Deep(1); }
        catch (Custom) { log.Add("again"); throw; }
    }

    static void Wrap() {
        try { Rethrow(); }
        catch (Exception error) { throw new Custom(5, error); }
    }

    static int Loop() {
        int count = 0;
        for (int i = 0; i < 10; i++) {
            try {
                if (i % 3 == 0) continue;
                if (i == 8) break;
                if (i % 2 == 0) throw new Custom(i);
                count += 1;
            } catch (Custom error) { count += error.Code * 10; }
            finally { count += 1000; }
        }
        return count;
    }

    static IEnumerable<int> Items() {
        try { yield return 1; yield return 2; }
        finally { log.Add("disposed"); }
    }

    static int InFinally() {
        int value = 1;
        try { try { throw new Custom(1); } finally { try { throw new Custom(2); } catch (Custom) { value = 7; } } }
        catch (Custom error) { return value * 10 + error.Code; }
    }

    static void FilterSeesUnwoundState() {
        bool unwound = false;
        try {
            try { throw new Custom(1); } finally { unwound = true; }
        } catch (Custom) when (!unwound) { log.Add("filter ran before finally"); }
    }

    static void Main() {
        for (int how = 0; how <= 6; how++) {
            try { Console.Write(Nested(how) + " "); } catch (Exception error) { Console.Write(error.GetType().Name + " "); }
            Flush("nested " + how);
        }
        try { Deep(3); } catch (Custom error) { Flush("deep " + error.Code); }
        try { Wrap(); } catch (Custom error) { Flush(error.Message + " <- " + error.InnerException.Message); }
        Console.WriteLine(Loop());
        foreach (int item in Items()) { log.Add("item" + item); if (item == 1) break; }
        Flush("iterator");
        Console.WriteLine(InFinally());
        FilterSeesUnwoundState(); Flush("two passes");
        try { throw null; } catch (NullReferenceException) { Console.WriteLine("throw null"); }
        try { object[] objects = new string[1]; objects[0] = 1; } catch (ArrayTypeMismatchException) { Console.WriteLine("mismatch"); }
        try { var negative = new int[int.Parse("-1")]; } catch (OverflowException) { Console.WriteLine("negative size"); }
        try { Deep(2); } catch (Custom error) {
            string trace = error.StackTrace;
            int lines = trace.Split('\n').Length;
            Console.WriteLine("{0} {1} {2}", lines, trace.Contains("Program.Deep (System.Int32 depth)"), trace.Contains("Program.Main ()"));
        }
        int sum = 0;
        for (int i = 0; i < 1000; i++) { try { if (i % 2 == 0) throw new Custom(i); sum += 1; } catch (Custom error) { sum += error.Code; } }
        Console.WriteLine(sum);
        for (int how = 0; how < 3; how++) Console.WriteLine(Change(new Counter(), how) + " " + Change(null, how));
    }
}
