using System;
using System.Collections.Generic;
using System.Reflection;
using System.Reflection.Emit;

// Tokens of a module that is being built: given once for each thing, and resolved by the module once the thing is finished.
class P {
  static ModuleBuilder module;

  static void Show(string what, Func<object> resolve) {
    try { object found = resolve(); Console.WriteLine(what + ": " + found + " (" + found.GetType().Name + ")"); }
    catch (Exception e) { Console.WriteLine(what + ": " + e.GetType().Name + " " + e.Message.Split('\n')[0]); }
  }

  static void Main() {
    var assembly = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName("Tokens"), AssemblyBuilderAccess.RunAndSave);
    module = assembly.DefineDynamicModule("Tokens.dll", "Tokens.dll");
    var one = module.DefineType("One", TypeAttributes.Public);
    var two = module.DefineType("Two`1", TypeAttributes.Public);
    var parameter = two.DefineGenericParameters("T")[0];
    var first = one.DefineMethod("First", MethodAttributes.Public | MethodAttributes.Static, typeof(string), new[] { typeof(int) });
    first.DefineParameter(1, ParameterAttributes.None, "number");
    var code = first.GetILGenerator();
    code.Emit(OpCodes.Ldstr, "text"); code.Emit(OpCodes.Call, typeof(string).GetMethod("Copy"));
    code.Emit(OpCodes.Ldtoken, typeof(List<>)); code.Emit(OpCodes.Pop); code.Emit(OpCodes.Ldnull); code.Emit(OpCodes.Castclass, typeof(List<>)); code.Emit(OpCodes.Pop); code.Emit(OpCodes.Ret);
    var second = two.DefineMethod("Second", MethodAttributes.Public, null, new Type[] { parameter });
    second.GetILGenerator().Emit(OpCodes.Ret);
    one.DefineField("A", typeof(int), FieldAttributes.Public); two.DefineField("A", parameter, FieldAttributes.Public); one.DefineField("B", typeof(int), FieldAttributes.Public);
    Show("unfinished type", () => module.ResolveType(one.TypeToken.Token));
    Show("unfinished method", () => module.ResolveMethod(first.GetToken().Token));
    var made = one.CreateType(); var generic = two.CreateType();
    foreach (var type in new[] { made, generic }) {
      Console.WriteLine("{0} {1:x}", type, type.MetadataToken);
      foreach (var field in type.GetFields()) Console.WriteLine("{0} {1:x} {2}", field, field.MetadataToken, module.ResolveField(field.MetadataToken) == field);
      foreach (var method in type.GetMethods(BindingFlags.DeclaredOnly | BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static))
        Console.WriteLine("{0} {1:x} {2}", method, method.MetadataToken, module.ResolveMethod(method.MetadataToken) == method);
      foreach (var constructor in type.GetConstructors()) Console.WriteLine("{0} {1:x} {2}", constructor, constructor.MetadataToken, module.ResolveMember(constructor.MetadataToken) == constructor);
    }
    byte[] il = made.GetMethod("First").GetMethodBody().GetILAsByteArray();
    Show("string", () => module.ResolveString(BitConverter.ToInt32(il, 1)));
    Show("called", () => module.ResolveMethod(BitConverter.ToInt32(il, 6)));
    Show("handle", () => module.ResolveType(BitConverter.ToInt32(il, 11)));
    Console.WriteLine("{0} bytes, {1:x} {2:x}", il.Length, il[14], il[21]);
    Tables();
    Show("type argument", () => ((Type)module.ResolveMember(generic.MetadataToken, new[] { typeof(string) }, null)).IsGenericTypeDefinition);
    foreach (int token in new[] { 0x02000001, 0x02000077, 0x06001234, 0x04001234, 0x70000003, 0x11000001, 0 }) Show(token.ToString("x"), () => module.ResolveMember(token));
    Show("no string", () => module.ResolveString(0x70000003));
    Show("no field", () => module.ResolveField(0x06000001));
    Show("no type", () => module.ResolveType(0x06000001));
    Show("signature", () => module.ResolveSignature(0x11000001));
    Console.WriteLine(module.MetadataToken + " " + typeof(P).Module.MetadataToken);
    code = module.DefineType("Three").DefineMethod("Third", MethodAttributes.Public, null, null).GetILGenerator();
    Show("null type", () => { code.Emit(OpCodes.Castclass, (Type)null); return 0; });
    Show("null field", () => { code.Emit(OpCodes.Ldsfld, (FieldInfo)null); return 0; });
    Show("null constructor", () => { code.Emit(OpCodes.Newobj, (ConstructorInfo)null); return 0; });
    Show("null signature", () => { code.Emit(OpCodes.Calli, (SignatureHelper)null); return 0; });
  }

  // In which tables things are found, and that they are found again.
  static void Tables() {
    foreach (var type in new[] { typeof(string), typeof(int), typeof(List<>), typeof(List<int>), typeof(int[]), typeof(int*) })
      Console.WriteLine("{0}: {1:x} {2} {3}", type, module.GetTypeToken(type).Token >> 24, module.GetTypeToken(type) == module.GetTypeToken(type), module.ResolveType(module.GetTypeToken(type).Token) == type);
    var methods = new[] { typeof(Console).GetMethod("WriteLine", Type.EmptyTypes), typeof(Array).GetMethod("Empty"), typeof(Array).GetMethod("Empty").MakeGenericMethod(typeof(int)), typeof(List<int>).GetMethod("Clear") };
    foreach (var method in methods)
      Console.WriteLine("{0}: {1:x} {2} {3}", method, module.GetMethodToken(method).Token >> 24, module.GetMethodToken(method) == module.GetMethodToken(method), module.ResolveMethod(module.GetMethodToken(method).Token) == method);
    var empty = typeof(string).GetField("Empty");
    Console.WriteLine("{0:x} {1}", module.GetFieldToken(empty).Token >> 24, module.ResolveField(module.GetFieldToken(empty).Token) == empty);
  }
}
