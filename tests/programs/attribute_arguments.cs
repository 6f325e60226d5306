using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Reflection.Emit;

public enum Level : byte { Low = 1, High = 2 }
public class AnythingAttribute : Attribute { public AnythingAttribute(object value) { } public object Property { get; set; } public Level Field; }
public class LevelAttribute : Attribute { public LevelAttribute(Level level) { } public LevelAttribute(Level[] levels) { } public LevelAttribute(params object[] values) { } }
public class JaggedAttribute : Attribute { public JaggedAttribute(string[][] rows) { Rows = rows; } public string[][] Rows; }

// Arguments of attributes as `CustomAttributeData` tells them, and default values of parameters.
class P {
  [Anything(Level.High, Property = Level.Low, Field = Level.High)] public void Enumeration() { }
  [Anything(new object[] { Level.High, 5, "x", typeof(int), null })] public void Array() { }
  [Anything(new Level[] { Level.High })] public void Levels() { }
  [Anything(typeof(int))] public void OfType() { }
  [Anything(new int[] { 3 })] public void Numbers() { }
  [Anything(null)] public void Null() { }
  [Level(Level.High)] public void Own() { }
  [Level(new Level[] { Level.High })] public void OwnArray() { }
  [Level(Level.High, 5)] public void Many() { }
  public void Defaults(Level level = Level.High, Level? maybe = Level.High, int? number = 4, Level? none = null, long? large = 5) { }

  static string Show(CustomAttributeTypedArgument argument) {
    var list = argument.Value as IList<CustomAttributeTypedArgument>;
    return argument.ArgumentType + " " + (list != null ? "[" + string.Join(", ", list.Select(Show)) + "]" : argument.Value == null ? "null" : argument.Value + ":" + argument.Value.GetType());
  }

  static void Main() {
    foreach (var method in typeof(P).GetMethods(BindingFlags.DeclaredOnly | BindingFlags.Instance | BindingFlags.Public))
      foreach (var data in method.CustomAttributes) {
        Console.WriteLine(method.Name + ": " + string.Join("; ", data.ConstructorArguments.Select(Show)) + " | " + string.Join("; ", data.NamedArguments.Select(n => n.MemberName + " " + Show(n.TypedValue))));
        Console.WriteLine(data);
      }
    foreach (var parameter in typeof(P).GetMethod("Defaults").GetParameters())
      Console.WriteLine(parameter.Name + " " + parameter.DefaultValue + " " + (parameter.DefaultValue == null ? "null" : parameter.DefaultValue.GetType().Name));
    Jagged();
  }

  static void Jagged() {
    var assembly = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName("Jagged"), AssemblyBuilderAccess.Run);
    var type = assembly.DefineDynamicModule("Jagged").DefineType("T");
    var rows = new[] { new[] { "a", "b" }, new string[0], null };
    type.SetCustomAttribute(new CustomAttributeBuilder(typeof(JaggedAttribute).GetConstructors()[0], new object[] { rows }));
    var found = (JaggedAttribute)type.CreateType().GetCustomAttributes(false)[0];
    Console.WriteLine(string.Join("; ", found.Rows.Select(row => row == null ? "null" : string.Join(",", row))));
  }
}
