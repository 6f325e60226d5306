using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Reflection.Emit;

public class NoteAttribute : Attribute { public string Text; public NoteAttribute(string text) { Text = text; } public override string ToString() { return "note " + Text; } }
[AttributeUsage(AttributeTargets.All, AllowMultiple = true)] class SecretAttribute : Attribute { }

// Attributes that reflection finds on the builders of a dynamic assembly, and on what these made.
class P {
  static CustomAttributeBuilder Note(string text) {
    return new CustomAttributeBuilder(typeof(NoteAttribute).GetConstructor(new[] { typeof(string) }), new object[] { text });
  }

  static readonly CustomAttributeBuilder secret = new CustomAttributeBuilder(typeof(SecretAttribute).GetConstructor(Type.EmptyTypes), new object[0]);

  static string Names(IEnumerable<object> attributes) { return string.Join(", ", attributes.Select(a => a.ToString())) + ";"; }

  static void Main() {
    var assembly = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName("Noted"), AssemblyBuilderAccess.RunAndSave);
    Console.WriteLine(Names(assembly.GetCustomAttributes(true)));
    assembly.SetCustomAttribute(Note("assembly"));
    assembly.SetCustomAttribute(secret);
    assembly.SetCustomAttribute(new CustomAttributeBuilder(typeof(AssemblyCompanyAttribute).GetConstructor(new[] { typeof(string) }), new object[] { "Makers" }));
    Console.WriteLine(Names(assembly.GetCustomAttributes(true)));
    Console.WriteLine(Names(assembly.GetCustomAttributes(typeof(NoteAttribute), false)));
    Console.WriteLine(assembly.IsDefined(typeof(AssemblyCompanyAttribute), false) + " " + assembly.IsDefined(typeof(ObsoleteAttribute), false) + " " + assembly.IsDefined(typeof(Attribute), false));
    Console.WriteLine(assembly.GetCustomAttribute<AssemblyCompanyAttribute>().Company);
    foreach (var data in CustomAttributeData.GetCustomAttributes(assembly)) Console.WriteLine(data);

    var module = assembly.DefineDynamicModule("Noted.dll", "Noted.dll");
    var type = module.DefineType("T", TypeAttributes.Public);
    foreach (var attribute in new[] { Note("type"), secret, Note("again") }) type.SetCustomAttribute(attribute);
    var field = type.DefineField("F", typeof(int), FieldAttributes.Public);
    field.SetCustomAttribute(Note("field")); field.SetCustomAttribute(secret);
    var method = type.DefineMethod("M", MethodAttributes.Public | MethodAttributes.Static, null, null);
    method.GetILGenerator().Emit(OpCodes.Ret);
    method.SetCustomAttribute(Note("method")); method.SetCustomAttribute(secret);
    var made = type.CreateType();
    Console.WriteLine(Names(type.GetCustomAttributes(false)) + Names(made.GetCustomAttributes(false)));
    Console.WriteLine(Names(field.GetCustomAttributes(false)) + Names(made.GetField("F").GetCustomAttributes(false)));
    Console.WriteLine(Names(method.GetCustomAttributes(false)) + Names(made.GetMethod("M").GetCustomAttributes(typeof(NoteAttribute), false)));
  }
}
