using System;
using System.Linq;
using System.Reflection;

// The constructors and methods that reflection shows of arrays.
class P {
  static string Show(object value) {
    var array = value as Array;
    if (array == null) return value == null ? "null" : value.ToString();
    return "[" + string.Join(",", array.Cast<object>().Select(Show)) + "]";
  }

  static void Try(string what, Func<object> action) {
    try { Console.WriteLine(what + ": " + Show(action())); }
    catch (Exception e) { Console.WriteLine(what + ": " + e.GetType().Name); }
  }

  static void Main() {
    foreach (var type in new[] { typeof(object[]), typeof(object[][]), typeof(int[][][]), typeof(int[,]), typeof(int[][,]), typeof(int[,][]) }) {
      Console.WriteLine(type);
      foreach (var method in type.GetMethods(BindingFlags.DeclaredOnly | BindingFlags.Instance | BindingFlags.Public)) Console.WriteLine("  " + method + " " + method.Attributes);
      foreach (var constructor in type.GetConstructors())
        Try("  " + constructor + " " + constructor.Attributes + " " + constructor.MetadataToken, () => constructor.Invoke(constructor.GetParameters().Select(p => (object)2).ToArray()));
    }
    var jagged = typeof(int[][]).GetConstructors().Last();
    foreach (var lengths in new[] { new[] { 2, 0 }, new[] { 0, 2 }, new[] { 0, -2 }, new[] { -1, 2 }, new[] { 2, -2 } })
      Try(lengths[0] + " of " + lengths[1], () => jagged.Invoke(new object[] { lengths[0], lengths[1] }));
    Try("by the activator", () => Activator.CreateInstance(typeof(int[][]), 2, 3));
    Try("three levels", () => Activator.CreateInstance(typeof(int[][][]), 2, 3, 1));
    Try("no lengths", () => Array.CreateInstance(typeof(char), new int[0]));
    Try("no lengths or bounds", () => Array.CreateInstance(typeof(char), new int[0], new int[0]));
  }
}
