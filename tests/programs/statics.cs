// Static fields and class initialisers: when they run, how they fail.
using System;

static class Log { public static string Text = ""; public static int Add(string text, int value) { Text += text + " "; return value; } }
class Precise { public static int Value = Log.Add("Precise.Value", 1); static Precise() { Log.Add("Precise()", 0); } public static void Touch() { } }
class Lazy { public static int Value = 2; }
class First { public static int Value = Log.Add("First", Second.Value + 1); static First() { } }
class Second { public static int Value = Log.Add("Second", First.Value + 10); static Second() { } }
class Failing { public static int Value = Throw(); static Failing() { } static int Throw() { throw new InvalidOperationException("no"); } public static int Use() { return 1; } }
class Base { public static string Name = "base"; static Base() { Log.Add("Base()", 0); } public Base() { Log.Add("new Base", 0); } }
class Derived : Base { public static new string Name = "derived"; static Derived() { Log.Add("Derived()", 0); } }
static class Holder<T> { public static T Value; [ThreadStatic] public static int PerThread; }
struct WithStatic { public static int Count; public int Id; public static readonly WithStatic Zero = new WithStatic { Id = 7 }; static WithStatic() { Count = 100; } public WithStatic(int id) { Id = id; Count++; } }

static class Program {
    static readonly object Locker = new object();
    static int[] table = { 1, 2, 3 };
    const string Constant = "constant";
    static void Flush(string title) { Console.WriteLine(title + ": " + Log.Text); Log.Text = ""; }
    static void Main() {
        Flush("start");
        Precise.Touch(); Flush("touch");
        Console.WriteLine(Precise.Value + Lazy.Value); Flush("values");
        Console.WriteLine("{0} {1}", First.Value, Second.Value); Flush("cycle");
        for (int i = 0; i < 2; i++)
            try { Console.WriteLine(Failing.Use()); }
            catch (TypeInitializationException error) { Console.WriteLine(error.TypeName + " " + error.InnerException.Message); }
        new Derived(); Flush("derived"); new Derived(); Flush("again");
        Holder<int>.Value = 5; Holder<string>.Value = "five"; Holder<object>.Value = "six"; Holder<int>.PerThread = 3; Holder<string>.PerThread++;
        Console.WriteLine("{0} {1} {2} {3} {4}", Holder<int>.Value, Holder<string>.Value, Holder<object>.Value, Holder<int>.PerThread, Holder<string>.PerThread);
        Console.WriteLine(new WithStatic(1).Id + WithStatic.Count + WithStatic.Zero.Id);
        lock (Locker) { table[1] += 40; }
        Console.WriteLine(table[1] + Constant + Base.Name + Derived.Name);
    }
}
