// Types made by reflection, types found by name, and what may be assigned to what.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;

class Cons<H, T> { }
class Endless<T> : Cons<T, Endless<T>> { }
interface IMark { }
class Marked<T> where T : IMark { }
class MarkedClass<T> where T : class, IMark { }
class Chain<T, U, V> where T : U where U : V, IMark where V : List<int> { }
class Curious<T> where T : Curious<T> { }
class Nested<T> : Curious<Nested<T>> { }
class Creatable<T> where T : new() { }
class NotCreatable { NotCreatable(int number) { } }
class Instances<T> where T : struct { }
class Open<T> : Cons<T, Open<T>>, IComparable<Open<T>> {
    public List<T>[] Vector; public List<T[]> OfVectors; public Dictionary<int, List<T>>[,] Array; public KeyValuePair<T, int>?[] Nullables; public Open<Open<T>> Twice; public T Value;
    public int CompareTo(Open<T> other) { return 0; }
    public static void Method<U>(U value, ref U reference, ref List<U> list, U[] vector, List<U>[] lists) { }
    public class Inner { public Open<T> Outer; public Inner Own; }
}
struct Four { public int Number; }
struct OtherFour { public int Number; }
enum Small : byte { A }

static class Program {
    static void Try(string label, Func<object> action) {
        try { Console.WriteLine("{0}: {1}", label, action() ?? "null"); }
        catch (Exception error) { Console.WriteLine("{0}: {1}: {2}", label, error.GetType(), error.Message.Replace("\n", " / ")); }
    }

    static void Made() {
        foreach (var each in new[] { typeof(TypedReference), typeof(Span<int>), typeof(RuntimeArgumentHandle), typeof(ArgIterator), typeof(int).MakePointerType(), typeof(List<>), typeof(string) }) {
            var type = each;
            Try(type + " vector", () => type.MakeArrayType());
            Try(type + " array", () => type.MakeArrayType(2));
            Try(type + " reference", () => type.MakeByRefType());
            Try(type + " pointer", () => type.MakePointerType());
            Try(type + " method", () => type.DeclaringMethod);
            if (type != typeof(List<>)) Try(type + " instance", () => Array.CreateInstance(type, 1));
        }
        Try("void", () => typeof(void).MakeArrayType());
        Try("reference", () => typeof(int).MakeByRefType().MakeArrayType());
        foreach (var rank in new[] { 1, 32, 33 }) Try("rank " + rank, () => typeof(int).MakeArrayType(rank).Name.Length);
        Try("curious", () => typeof(Curious<>).MakeGenericType(typeof(Nested<>)));
        foreach (var argument in new[] { typeof(NotCreatable), typeof(string), typeof(IMark), typeof(int), typeof(int[]), typeof(object) })
            Try("creatable " + argument, () => typeof(Creatable<>).MakeGenericType(argument));
        Try("nullable", () => typeof(Instances<>).MakeGenericType(typeof(int?)));
        Type endless = typeof(Endless<>), parameter = endless.GetGenericArguments()[0], parent = endless.BaseType;
        Console.WriteLine("{0} {1}", parent.GetGenericArguments()[0] == parameter, parent.GetGenericArguments()[1] == endless);
        Console.WriteLine(typeof(Cons<,>).MakeGenericType(parameter, endless.MakeGenericType(parameter)) == parent);
        Console.WriteLine("{0} {1} {2}", parent, parent.FullName ?? "null", parent.ContainsGenericParameters);
        Console.WriteLine(typeof(Nested<>).BaseType.FullName ?? "null");
    }

    static void Found() {
        foreach (var each in new[] {
            "System.Collections.Generic.Dictionary`2[System.String]", "System.Collections.Generic.List`1[System.String,System.Int32]",
            "System.Int32[System.String]", "System.Int32[", "System.Int32&&", "System.Int32&[]", "Foo", "A.B.Foo", ".Foo", "System.Int32,",
            "System.Int32, , b", "System.Int32, mscorlib, Foo=1", "System.Int32, mscorlib.dll", "System.Int32, nowhere", "System.Int32, \"mscorlib\", Culture=neutral",
            "System.Collections.Generic.List`1[Foo]", "System.Collections.Generic.List`1[[System.Int32, nowhere]]", "System.Int32[*]", "System.Int32*&",
            "Program+", "Program+Nothing",
        }) {
            var name = each;
            Try("all  " + name, () => Type.GetType(name, true));
            Try("all- " + name, () => Type.GetType(name, false));
            Try("core  " + name, () => typeof(int).Assembly.GetType(name, true));
            Try("core- " + name, () => typeof(int).Assembly.GetType(name, false));
        }
    }

    static void Named() {
        var types = typeof(Open<>).GetFields().Concat(typeof(Open<>.Inner).GetFields()).Select(field => field.FieldType)
            .Concat(typeof(Open<>).GetMethod("Method").GetParameters().Select(parameter => parameter.ParameterType))
            .Concat(new[] { typeof(Open<>).BaseType, typeof(Open<>).GetInterfaces()[0], typeof(List<>).MakeArrayType(), typeof(List<>).MakeByRefType(), typeof(List<>).MakeGenericType(typeof(List<>)) });
        foreach (var type in types)
            Console.WriteLine("{0} | {1} | {2} | {3} {4}", type, type.FullName ?? "null", type.AssemblyQualifiedName ?? "null", type.IsGenericTypeDefinition, type.ContainsGenericParameters);
        Console.WriteLine(typeof(Open<>.Inner).GetField("Own").FieldType == typeof(Open<>.Inner));
        var map = typeof(Open<>).GetInterfaceMap(typeof(Open<>).GetInterfaces()[0]);
        Console.WriteLine("{0} {1}", map.InterfaceMethods[0], map.TargetMethods[0] == typeof(Open<>).GetMethod("CompareTo"));
        Try("by reference", () => Array.CreateInstance(typeof(int).MakeByRefType(), 1));
        AppDomain.CurrentDomain.TypeResolve += (sender, asked) => { Console.WriteLine("asked for {0}", asked.Name); throw new InvalidOperationException("no"); };
        Try("handler", () => Type.GetType("Nothing", true));
        Try("handler", () => Type.GetType("Nothing", false));
        AppDomain.CurrentDomain.AssemblyResolve += (sender, asked) => { Console.WriteLine("asked for {0}", asked.Name); return null; };
        Try("assembly", () => Type.GetType("Nothing, nowhere", false));
    }

    static void Assigned() {
        Func<Type, int, Type> parameter = (type, index) => type.GetGenericArguments()[index];
        var types = new[] {
            typeof(int), typeof(uint), typeof(object), typeof(string), typeof(long), typeof(float), typeof(bool), typeof(byte), typeof(Small), typeof(DayOfWeek),
            typeof(Four), typeof(OtherFour), typeof(int?), typeof(int).MakePointerType(), typeof(byte).MakePointerType(), typeof(int[]), typeof(IMark),
            typeof(List<>), typeof(List<int>), typeof(Endless<>), typeof(Endless<>).BaseType, parameter(typeof(Endless<>), 0), parameter(typeof(Marked<>), 0),
            parameter(typeof(MarkedClass<>), 0), parameter(typeof(Chain<,,>), 0), parameter(typeof(Chain<,,>), 1), parameter(typeof(Chain<,,>), 2),
            typeof(IList<>), parameter(typeof(IList<>), 0), typeof(IEnumerable<>), parameter(typeof(IEnumerable<>), 0), typeof(IList<int>),
        };
        foreach (var make in new Func<Type, Type>[] { type => type, type => type.MakeByRefType(), type => type.MakeArrayType(), type => type.MakeArrayType().MakeArrayType(), type => type.MakeArrayType(2) }) {
            foreach (var from in types.Select(make))
                Console.WriteLine("{0}: {1}", from, string.Concat(types.Select(to => make(to).IsAssignableFrom(from) ? "1" : "0")));
        }
        foreach (var from in types.Select(type => type.MakeArrayType()))
            Console.WriteLine("{0}: {1}", from, string.Concat(types.Select(to => to.IsAssignableFrom(from) ? "1" : "0")));
    }

    static void Main() {
        Made();
        Found();
        Assigned();
        Named();
    }
}
