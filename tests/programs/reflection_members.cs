// Members as reflection lists them: what hides what, what is seen in derived classes, prefixes, accessors, base definitions; generic methods; and calls
// through reflection on nullables and proxies.
using System;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Remoting.Messaging;
using System.Runtime.Remoting.Proxies;

class Base {
    public virtual int Overridden { get; set; }
    public int Hidden { get { return 1; } }
    public int Retyped { get { return 1; } }
    public int PrivateSetter { get; private set; }
    internal int Internal { get; set; }
    private int Private { get; set; }
    protected int Protected { get; set; }
    internal virtual void InternalMethod() { }
    private void PrivateMethod() { }
    internal static void InternalStatic() { }
    public int this[int index] { get { return 0; } }
    public virtual void First() { }
}
class Derived : Base {
    public override int Overridden { get { return 2; } }
    public new int Hidden { get { return 2; } }
    public new string Retyped { get { return ""; } }
    public int this[string index] { get { return 0; } }
    public override void First() { }
}
class Further : Derived { }
class Indexers<T, U> { public T this[T index] { get { return index; } } public U this[U index] { get { return index; } } }
class Prefixed { public int PreField; public int Other; public event EventHandler PreEvent; public void PreMethod() { if (PreEvent != null) PreEvent(null, null); } public int PreProperty { get; set; } public class PreNested { } }
class Methods<T> {
    public U Plain<U>(U value) { return value; }
    public static void Structures<U>() where U : struct { }
    public static void Created<U>() where U : new() { }
    public static void Bounded<U>() where U : T { }
}
[StructLayout(LayoutKind.Explicit)] class Explicit { [FieldOffset(0)] public int First; [FieldOffset(24)] public int Second; }
class Bound : ContextBoundObject { public double Number = 14; public string Text = "abcd"; }
class Answering : RealProxy {
    public Answering(Type type) : base(type) { }
    public override IMessage Invoke(IMessage message) {
        var call = (IMethodMessage)message;
        Console.WriteLine("  asked for {0}", call.MethodName);
        return new ReturnMessage(call.MethodName == "GetType" ? typeof(string) : call.MethodName == "CompareTo" ? (object)5 : null, null, 0, null, call as IMethodCallMessage);
    }
}

static class Program {
    const BindingFlags Instance = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;

    static void Try(string label, Func<object> action) {
        try { Console.WriteLine("{0}: {1}", label, action() ?? "null"); }
        catch (TargetInvocationException error) { Console.WriteLine("{0}: in it {1}", label, error.InnerException.GetType()); }
        catch (Exception error) { Console.WriteLine("{0}: {1}: {2}", label, error.GetType(), error.Message.Replace("\n", " / ")); }
    }

    static void Listed() {
        foreach (var type in new[] { typeof(Base), typeof(Derived), typeof(Further), typeof(Indexers<,>), typeof(Indexers<int, int>) })
            foreach (var property in type.GetProperties(Instance).OrderBy(each => each.ToString()).ThenBy(each => each.DeclaringType.ToString()))
                Console.WriteLine("{0}: {1} of {2}, {3}", type, property, property.DeclaringType, string.Join(" ", property.GetAccessors(true).Select(each => each.Name + "/" + each.ReflectedType.Name)));
        foreach (var method in typeof(Further).GetMethods(Instance | BindingFlags.Static | BindingFlags.FlattenHierarchy).Where(each => each.Name.EndsWith("Method") || each.Name == "InternalStatic"))
            Console.WriteLine(method);
        foreach (var kind in new[] { MemberTypes.Field, MemberTypes.Event, MemberTypes.Method, MemberTypes.Property, MemberTypes.NestedType, MemberTypes.All })
            Console.WriteLine("{0}: {1}", kind, string.Join(" ", typeof(Prefixed).GetMember("Pre*", kind, Instance).Select(each => each.Name).OrderBy(each => each, StringComparer.Ordinal)));
        foreach (var type in new[] { typeof(Base), typeof(Derived), typeof(Further) }) {
            var definition = type.GetMethod("First").GetBaseDefinition();
            Console.WriteLine("{0} {1}", definition.DeclaringType, definition.ReflectedType);
            definition = type.GetMethod("get_Retyped").GetBaseDefinition();
            Console.WriteLine("{0} {1}", definition.DeclaringType, definition.ReflectedType);
        }
        foreach (var field in typeof(Explicit).GetFields())
            Console.WriteLine("{0} {1}", field.Name, ((FieldOffsetAttribute)field.GetCustomAttributes(true)[0]).Value);
        Try("other instance", () => FieldInfo.GetFieldFromHandle(typeof(Tuple<int>).GetField("m_Item1", Instance).FieldHandle, typeof(Tuple<string>).TypeHandle));
    }

    static void Generic() {
        var plain = typeof(Methods<int>).GetMethod("Plain");
        Console.WriteLine(ReferenceEquals(plain, plain.MakeGenericMethod(plain.GetGenericArguments())));
        Console.WriteLine(plain.MakeGenericMethod(typeof(string)));
        Try("count", () => plain.MakeGenericMethod(typeof(int), typeof(int)));
        foreach (var argument in new[] { typeof(int), typeof(int?), typeof(string), typeof(object), typeof(Exception), typeof(ArgumentException) })
            foreach (var name in new[] { "Structures", "Created", "Bounded" })
                Try(name + " " + argument, () => typeof(Methods<Exception>).GetMethod(name).MakeGenericMethod(argument));
    }

    static void Called() {
        Try("has value", () => true.Equals(typeof(int?).GetProperty("HasValue").GetGetMethod().Invoke(10, null)));
        Try("value", () => typeof(int?).GetProperty("Value").GetGetMethod().Invoke(10, null));
        Try("address", () => typeof(int[]).GetMethod("Address").Invoke(new int[1], new object[] { 0 }));
        var bound = new Bound();
        Try("number", () => typeof(Bound).GetField("Number").GetValue(bound));
        typeof(Bound).GetField("Text").SetValue(bound, "set");
        Try("text", () => typeof(Bound).GetField("Text").GetValue(bound) + bound.Text);
        foreach (var type in new[] { typeof(IComparable), typeof(MarshalByRefObject), typeof(Bound) }) {
            var proxy = new Answering(type).GetTransparentProxy();
            Console.WriteLine("{0} {1}", proxy.GetType(), typeof(IComparable).IsInstanceOfType(proxy));
            foreach (var name in new[] { "GetType", "ToString" })
                Try(name, () => typeof(object).GetMethod(name).Invoke(proxy, null));
            if (type == typeof(IComparable)) Try("CompareTo", () => typeof(IComparable).GetMethod("CompareTo").Invoke(proxy, new object[] { null }));
        }
    }

    static void Asked() {
        var frame = new StackFrame("some file", 13, 45);
        Console.WriteLine("{0} {1} {2}", frame.GetFileName(), frame.GetFileLineNumber(), frame.GetFileColumnNumber());
        Console.WriteLine(typeof(Program).GetMethod("Caller", BindingFlags.Static | BindingFlags.NonPublic).Invoke(null, null));
        Console.WriteLine(CultureInfo.GetCultures(CultureTypes.AllCultures).All(each => each.UseUserOverride == (each.Name != "")));
        Try("core", () => Activator.CreateInstance("mscorlib.dll", "System.Object").Unwrap());
        Try("beside", () => Assembly.Load("System.dll"));
        Try("cached", () => Assembly.Load("System.Xml.dll, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089"));
    }

    static string Caller() { return Assembly.GetCallingAssembly().GetName().Name; }

    static void Main() {
        Listed();
        Generic();
        Called();
        Asked();
    }
}
