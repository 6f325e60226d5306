// Delegates without objects, type names without assemblies, and objects of classes whose initialiser fails.
using System;
using System.Reflection;

class Late
{
    public int value = 1;
    public string Name() { return this == null ? "null" : "this"; }
    public virtual string VirtualName() { return this == null ? "virtual null" : "virtual"; }
    public static string Text(object first) { return first == null ? "static null" : "static"; }
}

class Broken
{
    static Broken() { throw new InvalidOperationException(); }
    ~Broken() { Console.WriteLine("finalised"); }
}

class Program
{
    static Broken broken;

    static string Call(string method)
    {
        return ((Func<string>)Delegate.CreateDelegate(typeof(Func<string>), null, typeof(Late).GetMethod(method)))();
    }

    static void Main()
    {
        Console.WriteLine(Call("Name") + ", " + Call("VirtualName") + ", " + Call("Text"));
        Late none = null;
        try { Func<string> made = none.Name; Console.WriteLine(made != null); }
        catch (ArgumentException) { Console.WriteLine("needs an object"); }
        var constructor = typeof(Action).GetConstructor(new[] { typeof(object), typeof(IntPtr) });
        try { constructor.Invoke(new object[] { new Late(), IntPtr.Zero }); }
        catch (TargetInvocationException e) { Console.WriteLine(e.InnerException.GetType().Name); }
        Console.WriteLine(Type.GetType("System.Nullable`1[[System.Int32, mscorlib]]"));
        Console.WriteLine(Type.GetType("System.Nullable`1[[System.Int32, missing]]") == null);
        try { broken = new Broken(); }
        catch (TypeInitializationException) { Console.WriteLine("no object"); }
        Console.WriteLine(broken == null);
    }
}
