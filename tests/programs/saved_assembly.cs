using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Reflection.Emit;

class P {
  static void Main() {
    string folder = Path.Combine(Path.GetTempPath(), "saki-saved-" + System.Diagnostics.Process.GetCurrentProcess().Id);
    Directory.CreateDirectory(folder);
    try {
      var assembly = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName("Saved") { Version = new Version(2, 1, 0, 0) }, AssemblyBuilderAccess.RunAndSave, folder);
      var module = assembly.DefineDynamicModule("Saved", "Saved.exe");
      var node = module.DefineType("N.Node`1", TypeAttributes.Public);
      var t = node.DefineGenericParameters("T")[0];
      var value = node.DefineField("value", t, FieldAttributes.Public);
      var ctor = node.DefineConstructor(MethodAttributes.Public, CallingConventions.Standard, new Type[] { t });
      var g = ctor.GetILGenerator();
      g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Call, typeof(object).GetConstructor(Type.EmptyTypes));
      g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldarg_1); g.Emit(OpCodes.Stfld, value); g.Emit(OpCodes.Ret);
      var get = node.DefineMethod("Get", MethodAttributes.Public, t, Type.EmptyTypes);
      g = get.GetILGenerator(); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldfld, value); g.Emit(OpCodes.Ret);
      node.CreateType();
      var program = module.DefineType("Program", TypeAttributes.Public | TypeAttributes.Abstract | TypeAttributes.Sealed);
      var inner = program.DefineNestedType("Inner", TypeAttributes.NestedPrivate | TypeAttributes.Sealed, typeof(ValueType));
      var x = inner.DefineField("x", typeof(long), FieldAttributes.Public);
      var log = program.DefineField("log", typeof(List<string>), FieldAttributes.Private | FieldAttributes.Static);
      var main = program.DefineMethod("Main", MethodAttributes.Public | MethodAttributes.Static, typeof(int), new[] { typeof(string[]) });
      main.DefineParameter(1, ParameterAttributes.None, "args");
      g = main.GetILGenerator();
      var local = g.DeclareLocal(inner);
      var closed = node.MakeGenericType(typeof(string));
      g.Emit(OpCodes.Newobj, typeof(List<string>).GetConstructor(Type.EmptyTypes)); g.Emit(OpCodes.Stsfld, log);
      g.BeginExceptionBlock();
      g.Emit(OpCodes.Ldsfld, log);
      g.Emit(OpCodes.Ldstr, "saved"); g.Emit(OpCodes.Newobj, TypeBuilder.GetConstructor(closed, ctor)); g.Emit(OpCodes.Call, TypeBuilder.GetMethod(closed, get));
      g.Emit(OpCodes.Callvirt, typeof(List<string>).GetMethod("Add"));
      g.Emit(OpCodes.Ldloca, local); g.Emit(OpCodes.Ldc_I8, 1L << 40); g.Emit(OpCodes.Stfld, x);
      g.Emit(OpCodes.Ldloc, local); g.Emit(OpCodes.Ldfld, x); g.Emit(OpCodes.Call, typeof(Console).GetMethod("WriteLine", new[] { typeof(long) }));
      g.Emit(OpCodes.Ldnull); g.Emit(OpCodes.Throw);
      g.BeginCatchBlock(typeof(NullReferenceException)); g.Emit(OpCodes.Pop); g.EmitWriteLine("caught");
      g.EndExceptionBlock();
      g.Emit(OpCodes.Ldsfld, log); g.Emit(OpCodes.Ldc_I4_0); g.Emit(OpCodes.Callvirt, typeof(List<string>).GetMethod("get_Item")); g.Emit(OpCodes.Call, typeof(Console).GetMethod("WriteLine", new[] { typeof(string) }));
      g.Emit(OpCodes.Ldc_I4, 7); g.Emit(OpCodes.Ret);
      inner.CreateType(); program.CreateType();
      program.SetCustomAttribute(new CustomAttributeBuilder(typeof(ObsoleteAttribute).GetConstructor(new[] { typeof(string) }), new object[] { "old" }));
      assembly.SetEntryPoint(main);
      assembly.Save("Saved.exe");
      var loaded = Assembly.LoadFrom(Path.Combine(folder, "Saved.exe"));
      Console.WriteLine(loaded.FullName + " " + loaded.EntryPoint);
      Console.WriteLine(loaded.EntryPoint.Invoke(null, new object[] { new string[0] }));
      foreach (var type in loaded.GetTypes()) Console.WriteLine(type + " " + type.Attributes);
      Console.WriteLine(((ObsoleteAttribute)Attribute.GetCustomAttribute(loaded.GetType("Program"), typeof(ObsoleteAttribute))).Message);
      Symbols(folder);
    } finally { Directory.Delete(folder, true); }
  }
  static void Symbols(string folder) {
    var assembly = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName("Traced"), AssemblyBuilderAccess.RunAndSave, folder);
    var module = assembly.DefineDynamicModule("Traced", "Traced.dll", true);
    var document = module.DefineDocument("traced.cs", Guid.Empty, Guid.Empty, Guid.Empty);
    var type = module.DefineType("Traced", TypeAttributes.Public);
    var method = type.DefineMethod("Fail", MethodAttributes.Public | MethodAttributes.Static);
    var g = method.GetILGenerator();
    g.BeginScope();
    g.DeclareLocal(typeof(int)).SetLocalSymInfo("number"); g.DeclareLocal(typeof(List<Guid>)).SetLocalSymInfo("list");
    g.MarkSequencePoint(document, 10, 1, 10, 5); g.Emit(OpCodes.Nop);
    g.MarkSequencePoint(document, 11, 1, 11, 5); g.Emit(OpCodes.Ldnull); g.Emit(OpCodes.Throw);
    g.EndScope();
    type.CreateType();
    assembly.Save("Traced.dll");
    Console.WriteLine(module.GetSymWriter().GetType().Name);
    var symbols = File.ReadAllBytes(Path.Combine(folder, "Traced.dll.mdb"));
    var identity = new byte[16];
    Array.Copy(symbols, 16, identity, 0, 16);
    Console.WriteLine(new Guid(identity) == Assembly.LoadFrom(Path.Combine(folder, "Traced.dll")).ManifestModule.ModuleVersionId);
    Console.WriteLine(System.Text.Encoding.UTF8.GetString(symbols).Contains("number") + " " + symbols.Length);
  }
}
