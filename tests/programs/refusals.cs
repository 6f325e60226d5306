// What the metadata does not allow is refused with the exception that Mono raises.
using System;
using System.Linq.Expressions;
using System.Reflection;
using System.Runtime.CompilerServices;

class Base {
    public virtual string Name () { return "base"; }
    public Func<string> Bound () { return Name; }
}
class Derived : Base {
    public override string Name () { return "derived"; }
    public Func<string> Plain () { return base.Name; }
}
class Open<T> {
    public T Value;
    public static void Run () { Console.WriteLine (typeof (T)); }
    public Func<T> Read () { Expression<Func<T>> e = () => Value; return () => { Console.WriteLine (((MemberExpression) e.Body).Member); return Value; }; }
}
abstract class Abstract { }
[AttributeUsage (AttributeTargets.All)] class Mark : Attribute { }

static class Program {
    static int[] plain = new int[1];
    static void Try (string name, Action action) {
        try { action (); Console.WriteLine (name + ": fine"); }
        catch (Exception e) { Console.WriteLine (name + ": " + e.GetType ().FullName); }
    }
    static void Main () {
        Console.WriteLine (new Derived ().Bound ().Method.DeclaringType);
        Console.WriteLine (new Derived ().Bound () ());
        new Open<string> { Value = "x" }.Read () ();
        new Open<object> ().Read () ();
        var open = (Action) Delegate.CreateDelegate (typeof (Action), null, typeof (Open<>).GetMethod ("Run"), true);
        Try ("open generic", open);
        Try ("closed generic", (Action) Delegate.CreateDelegate (typeof (Action), null, typeof (Open<string>).GetMethod ("Run"), true));
        Try ("abstract class", () => Activator.CreateInstance (typeof (Abstract)));
        var field = typeof (Program).GetField ("plain", BindingFlags.Static | BindingFlags.NonPublic).FieldHandle;
        Try ("no data", () => RuntimeHelpers.InitializeArray (new int[1], field));
        Try ("references", () => RuntimeHelpers.InitializeArray (new object[1], field));
    }
}
