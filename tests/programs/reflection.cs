// Types, members, attributes and invocation by reflection.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;

[AttributeUsage(AttributeTargets.All)] class NoteAttribute : Attribute { public string Text; public int Number { get; set; } public Type Kind; public NoteAttribute(string text) { Text = text; } }
interface IThing { void Do(); }
[Note("class", Number = 3, Kind = typeof(List<int>))]
class Thing : IThing {
    public int Field = 1; private string hidden = "h"; public static readonly double Constant = 2.5;
    public string Property { get; set; }
    public event EventHandler Changed;
    [Note("method")] public int Add(int a, [Note("parameter")] int b = 5) { return a + b + Field; }
    public static string Join<T>(T value, params string[] rest) { return value + string.Join("", rest); }
    public void Do() { if (Changed != null) Changed(this, EventArgs.Empty); throw new InvalidOperationException("done"); }
    public Thing() { } public Thing(int field) { Field = field; }
    public string Secret() { return hidden; }
    public class Inner<U> { public U Value; }
}
static class Program {
    static void Main() {
        Type type = typeof(Thing);
        Console.WriteLine("{0} {1} {2} {3} {4}", type.FullName, type.BaseType, type.IsClass, type.IsSealed, type.GetInterfaces()[0]);
        foreach (MethodInfo method in type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly).OrderBy(m => m.Name)) Console.WriteLine("  " + method);
        foreach (FieldInfo field in type.GetFields(BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static).Where(f => !f.Name.Contains("<")).OrderBy(f => f.Name)) Console.WriteLine("  " + field + " " + field.Attributes);
        foreach (ConstructorInfo constructor in type.GetConstructors()) Console.WriteLine("  " + constructor);
        foreach (PropertyInfo property in type.GetProperties()) Console.WriteLine("  " + property + " " + property.CanWrite);
        object thing = Activator.CreateInstance(type, 10);
        Console.WriteLine(type.GetMethod("Add").Invoke(thing, new object[] { 1, 2 }));
        Console.WriteLine(type.GetMethod("Join").MakeGenericMethod(typeof(int)).Invoke(null, new object[] { 7, new[] { "a", "b" } }));
        type.GetProperty("Property").SetValue(thing, "set"); Console.WriteLine(((Thing)thing).Property + type.GetProperty("Property").GetValue(thing));
        var hidden = type.GetField("hidden", BindingFlags.NonPublic | BindingFlags.Instance); hidden.SetValue(thing, "changed"); Console.WriteLine(((Thing)thing).Secret() + " " + type.GetField("Constant").GetValue(null));
        try { type.GetMethod("Do").Invoke(thing, null); } catch (TargetInvocationException error) { Console.WriteLine(error.InnerException.Message); }
        var note = (NoteAttribute)Attribute.GetCustomAttribute(type, typeof(NoteAttribute)); Console.WriteLine("{0} {1} {2}", note.Text, note.Number, note.Kind);
        ParameterInfo parameter = type.GetMethod("Add").GetParameters()[1]; Console.WriteLine("{0} {1} {2} {3}", parameter.Name, parameter.ParameterType, parameter.DefaultValue, parameter.IsDefined(typeof(NoteAttribute), false));
        Type open = typeof(Thing.Inner<>), closed = open.MakeGenericType(typeof(string)); Console.WriteLine("{0} {1} {2}", open, closed, closed.GetField("Value").FieldType);
        Console.WriteLine(typeof(Dictionary<string, int[]>) + " " + typeof(int?).Name + " " + typeof(int[,]) + " " + typeof(int).MakeByRefType() + " " + typeof(List<>).GetGenericArguments()[0]);
        Console.WriteLine(Type.GetType("System.Int32") == typeof(int)); Console.WriteLine(typeof(Thing).Assembly.GetName().Name + " " + typeof(string).Assembly.GetName().Name + " " + Assembly.GetExecutingAssembly().EntryPoint.Name);
        Console.WriteLine(typeof(IEnumerable<object>).IsAssignableFrom(typeof(List<string>)) + " " + typeof(Thing).IsSubclassOf(typeof(object)) + " " + type.GetMethod("Add").Equals(typeof(Thing).GetMethod("Add")));
        Delegate made = Delegate.CreateDelegate(typeof(Func<int, int, int>), thing, "Add"); Console.WriteLine(made.DynamicInvoke(3, 4) + " " + made.Method.Name);
        Console.WriteLine(string.Join(",", Enum.GetNames(typeof(DayOfWeek))) + " " + new { A = 1, B = "x" });
    }
}
