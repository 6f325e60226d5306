// Objects bound to contexts, and those of other domains: static fields of contexts, addresses of fields, comparisons.
using System;
using System.Runtime.Remoting.Activation;
using System.Runtime.Remoting.Contexts;
using System.Runtime.Remoting.Messaging;
using System.Threading;

public class OwnContextAttribute : Attribute, IContextAttribute
{
    public void GetPropertiesForNewContext(IConstructionCallMessage message) { }
    public bool IsContextOK(Context context, IConstructionCallMessage message) { return false; }
}

public struct Pair
{
    public int First;
    public string Second;
    public void Increment() { First++; }
}

public class Free : ContextBoundObject
{
    public int Counter;
    public Pair Pair;
    static void Increment(ref int number) { number++; }
    public void Increment() { Increment(ref Counter); }
}

[OwnContext]
public class Bound : Free
{
    public object Self() { return this; }
    public bool IsSame(object other) { return Equals(other) && ReferenceEquals(this, other); }

    public string Count()
    {
        Statics.Number += 1;
        Statics.Text += "b";
        Statics.Pair.Increment();
        Statics.Pair.Second += "p";
        return Statics.Show();
    }
}

public class Remote : MarshalByRefObject
{
    public int Counter;
    public Pair Pair;
    public string Text;
    public void Increment() { Counter++; Pair.First++; }
}

public static class Statics
{
    [ContextStatic] public static int Number;
    [ContextStatic] public static string Text;
    [ContextStatic] public static Pair Pair;
    public static string Show() { return Number + " " + (Text ?? "null") + " " + Pair.First + (Pair.Second ?? "null"); }
}

class Program
{
    static void Increment(ref int number) { number++; }

    static void Try(string what, Func<object> action)
    {
        try { Console.WriteLine(what + ": " + action()); }
        catch (Exception exception) { Console.WriteLine(what + ": " + exception.GetType() + " " + exception.Message); }
    }

    static void ShowFields(string what, Free free)
    {
        Try(what + " by address", () => { Increment(ref free.Counter); return free.Counter; });
        Try(what + " interlocked", () => Interlocked.Increment(ref free.Counter));
        Try(what + " structure", () => { free.Pair.Increment(); return free.Pair.First; });
        Try(what + " value", () => free.Counter++ + free.Counter);
        Try(what + " method", () => { free.Increment(); return free.Counter; });
    }

    static void ShowEquality(string what, Free free)
    {
        Func<object, bool> equals = free.Equals;
        Console.WriteLine(what + " equals itself: " + free.Equals(free) + equals(free) + Equals(free, free) + ", another: "
            + free.Equals(new Free()) + ", nothing: " + free.Equals(null));
    }

    static void ShowStatics()
    {
        Statics.Number = 10;
        Statics.Text += "m";
        Statics.Pair.First = 20;
        Console.WriteLine("here: " + Statics.Show());
        var bound = new Bound();
        Console.WriteLine("there: " + bound.Count());
        Console.WriteLine("again: " + bound.Count());
        var another = new Bound();
        Console.WriteLine("another: " + another.Count());
        Console.WriteLine("here: " + Statics.Show());
        var thread = new Thread(() => Console.WriteLine("thread: " + Statics.Show()));
        thread.Start();
        thread.Join();
        typeof(Statics).GetField("Number").SetValue(null, 30);
        Console.WriteLine("reflection: " + Statics.Number + " " + typeof(Statics).GetField("Text").GetValue(null));
        GC.Collect();
        Console.WriteLine("kept: " + Statics.Show() + ", " + bound.Count());
    }

    static void Main()
    {
        ShowStatics();
        ShowFields("free", new Free());
        ShowFields("bound", new Bound());
        ShowEquality("free", new Free());
        ShowEquality("bound", new Bound());
        var remote = (Remote)AppDomain.CreateDomain("other").CreateInstanceAndUnwrap(typeof(Remote).Assembly.FullName, "Remote");
        Try("remote by address", () => { Increment(ref remote.Counter); return remote.Counter; });
        Try("remote structure", () => { remote.Pair.Increment(); return remote.Pair.First; });
        Try("remote value", () => remote.Counter++ + remote.Counter);
        Try("remote text", () => remote.Text + (remote.Text = "t") + remote.Text);
        Try("remote method", () => { remote.Increment(); return remote.Counter; });
        Remote nothing = null;
        Try("null", () => { Increment(ref nothing.Counter); return 0; });
    }
}
