using System;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

public class Holder<T> { public static int Count = 3; }

// What a program may not define, or not use before it is finished, and what its types show.
class P {
  static AssemblyBuilder assembly;
  static ModuleBuilder module;
  static int number;

  static void Try(string what, Func<object> action) {
    try { object found = action(); Console.WriteLine(what + ": " + (found ?? "null")); }
    catch (Exception e) {
      var inner = e is TargetInvocationException ? e.InnerException : e;
      Console.WriteLine(what + ": " + inner.GetType().Name + (inner is TypeLoadException ? " of '" + ((TypeLoadException)inner).TypeName + "'" : ""));
    }
  }

  static TypeBuilder Enumeration(TypeAttributes more, params Type[] fields) {
    var type = module.DefineType("Enumeration" + number++, TypeAttributes.Public | TypeAttributes.Sealed | more, typeof(Enum));
    foreach (var field in fields) type.DefineField("value" + number++, field, FieldAttributes.Public | FieldAttributes.SpecialName | FieldAttributes.RTSpecialName);
    return type;
  }

  static void Main() {
    assembly = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName("Checks"), AssemblyBuilderAccess.RunAndSave);
    module = assembly.DefineDynamicModule("Checks.dll", "Checks.dll");
    Enumerations(); Unfinished(); Shown(); Access(); Assemblies(); Dynamic();
  }

  static void Enumerations() {
    var bad = Enumeration(0);
    Try("no field", () => bad.CreateType());
    Try("once more", () => bad.CreateType());
    Console.WriteLine(bad.IsCreated());
    Try("two fields", () => Enumeration(0, typeof(int), typeof(int)).CreateType());
    foreach (var type in new[] { typeof(string), typeof(DateTime), typeof(double), typeof(long), typeof(char), typeof(bool) })
      Try("of " + type, () => Enumeration(0, type).CreateType().IsEnum);
    Try("sequential", () => Enumeration(TypeAttributes.SequentialLayout, typeof(int)).CreateType());
    Try("explicit", () => Enumeration(TypeAttributes.ExplicitLayout, typeof(int)).CreateType());
  }

  static void Unfinished() {
    var open = module.DefineType("Open`1", TypeAttributes.Public); open.DefineGenericParameters("T");
    var plain = module.DefineType("Plain", TypeAttributes.Public);
    var user = module.DefineType("User", TypeAttributes.Public);
    user.DefineField("open", open.MakeGenericType(user), FieldAttributes.Public | FieldAttributes.Static);
    user.DefineField("plain", plain, FieldAttributes.Public | FieldAttributes.Static);
    var made = user.CreateType();
    Try("instance of an unfinished type", () => made.GetField("open").FieldType);
    Try("unfinished type", () => made.GetField("plain").FieldType == plain);
    open.CreateType(); plain.CreateType();
    Try("finished", () => made.GetField("open").FieldType + " " + made.GetField("plain").FieldType.GetType().Name);
    var days = module.DefineEnum("Days", TypeAttributes.Public, typeof(int));
    user = module.DefineType("DayUser", TypeAttributes.Public); user.DefineField("day", days, FieldAttributes.Public | FieldAttributes.Static);
    var dayUser = user.CreateType();
    Try("unfinished enumeration", () => Activator.CreateInstance(dayUser));
    Named();
    Asked();
  }

  // What is unfinished has a name already, and an object can have a field of it.
  static void Named() {
    var late = module.DefineType("Space.Named", TypeAttributes.Public);
    var user = module.DefineType("NameUser", TypeAttributes.Public);
    user.DefineField("own", late, FieldAttributes.Public);
    user.DefineField("holder", typeof(Holder<>).MakeGenericType(late), FieldAttributes.Public);
    user.DefineField("array", late.MakeArrayType(), FieldAttributes.Public);
    var made = user.CreateType();
    Try("own", () => made.GetField("own").FieldType + " " + made.GetField("own").GetValue(Activator.CreateInstance(made)));
    Try("holder", () => made.GetField("holder").FieldType + " of " + made.GetField("holder").FieldType.GetGenericArguments()[0].GetType().Name);
    Try("array", () => made.GetField("array").FieldType.AssemblyQualifiedName);
    late.CreateType();
    Try("holder", () => made.GetField("holder").FieldType + " of " + made.GetField("holder").FieldType.GetGenericArguments()[0].GetType().Name);
    Try("object", () => Activator.CreateInstance(made));
  }

  // Code that needs an unfinished type asks for it.
  static void Asked() {
    var late = module.DefineType("Late", TypeAttributes.Public);
    ResolveEventHandler handler = (sender, args) => { Console.WriteLine("asked for " + args.Name); late.CreateType(); return assembly; };
    AppDomain.CurrentDomain.TypeResolve += handler;
    var user = module.DefineType("LateUser", TypeAttributes.Public);
    var count = user.DefineMethod("Count", MethodAttributes.Public | MethodAttributes.Static, typeof(int), Type.EmptyTypes);
    var code = count.GetILGenerator();
    code.Emit(OpCodes.Ldsfld, TypeBuilder.GetField(typeof(Holder<>).MakeGenericType(late), typeof(Holder<>).GetField("Count")));
    code.Emit(OpCodes.Ret);
    var made = user.CreateType().GetMethod("Count");
    Try("count", () => made.Invoke(null, null));
    AppDomain.CurrentDomain.TypeResolve -= handler;
  }

  static void Event(TypeBuilder type, string name, MethodAttributes access) {
    var add = type.DefineMethod("add_" + name, access, null, new[] { typeof(EventHandler) });
    add.GetILGenerator().Emit(OpCodes.Ret);
    type.DefineEvent(name, EventAttributes.None, typeof(EventHandler)).SetAddOnMethod(add);
  }

  static void Shown() {
    var pair = module.DefineType("Pair`2", TypeAttributes.Public); pair.DefineGenericParameters("T", "U");
    Console.WriteLine(ReferenceEquals(pair.CreateType().MakeGenericType(typeof(int), typeof(string)).GetGenericTypeDefinition(), pair));
    var parent = module.DefineType("Parent", TypeAttributes.Public);
    Event(parent, "Hidden", MethodAttributes.Private); Event(parent, "Inner", MethodAttributes.Assembly); Event(parent, "Open", MethodAttributes.Public);
    var child = module.DefineType("Child", TypeAttributes.Public, parent);
    Event(child, "Own", MethodAttributes.Private);
    parent.CreateType();
    foreach (var found in child.CreateType().GetEvents(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)) Console.WriteLine(found.Name);
    var data = module.DefineType("Data", TypeAttributes.Public);
    data.DefineUninitializedData("zeros", 12, FieldAttributes.Public);
    var zeros = data.CreateType().GetField("zeros");
    Console.WriteLine(zeros.Attributes + " " + zeros.GetValue(null));
    var import = module.DefineType("Imports", TypeAttributes.Public);
    var method = import.DefineMethod("f", MethodAttributes.Public, typeof(void), Type.EmptyTypes);
    method.SetCustomAttribute(new CustomAttributeBuilder(typeof(DllImportAttribute).GetConstructor(new[] { typeof(string) }), new object[] { "library" }));
    var shown = (DllImportAttribute)import.CreateType().GetMethod("f").GetCustomAttributes(typeof(DllImportAttribute), true)[0];
    Console.WriteLine(shown.Value + " " + shown.EntryPoint + " " + shown.ExactSpelling + " " + shown.CharSet);
  }

  static void Access() {
    var parent = module.DefineType("Closed", TypeAttributes.Public);
    parent.DefineDefaultConstructor(MethodAttributes.Private);
    var closed = parent.CreateType();
    var child = module.DefineType("ClosedChild", TypeAttributes.Public, closed);
    child.DefineDefaultConstructor(MethodAttributes.Public);
    var made = child.CreateType();
    Try("private constructor", () => Activator.CreateInstance(made));
    parent = module.DefineType("Inside", TypeAttributes.Public);
    parent.DefineDefaultConstructor(MethodAttributes.Assembly);
    child = module.DefineType("InsideChild", TypeAttributes.Public, parent.CreateType());
    child.DefineDefaultConstructor(MethodAttributes.Public);
    var inside = child.CreateType();
    Try("constructor of the assembly", () => Activator.CreateInstance(inside));
  }

  static void Assemblies() {
    Try("whatever case", () => assembly.GetType("insidechild", true, true).Name + " " + (assembly.GetType("insidechild") == null));
    var saved = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName("Saved"), AssemblyBuilderAccess.Save);
    var type = saved.DefineDynamicModule("Saved.dll", "Saved.dll").DefineType("T", TypeAttributes.Public).CreateType();
    Try("to save only", () => Activator.CreateInstance(type));
    ResolveEventHandler handler = (sender, args) => AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName("Seen"), AssemblyBuilderAccess.ReflectionOnly);
    AppDomain.CurrentDomain.AssemblyResolve += handler;
    Try("to look at only", () => Assembly.Load("Seen, Version=1.0.0.0"));
    AppDomain.CurrentDomain.AssemblyResolve -= handler;
  }

  static Func<string> Thrower(Module host) {
    var method = host == null ? new DynamicMethod("Throw", typeof(string), Type.EmptyTypes) : new DynamicMethod("Throw", typeof(string), Type.EmptyTypes, host);
    var code = method.GetILGenerator();
    var text = code.DeclareLocal(typeof(string));
    code.BeginExceptionBlock();
    code.Emit(OpCodes.Ldstr, "thrown"); code.Emit(OpCodes.Throw);
    code.BeginCatchBlock(typeof(string));
    code.Emit(OpCodes.Stloc, text);
    code.EndExceptionBlock();
    code.Emit(OpCodes.Ldloc, text); code.Emit(OpCodes.Ret);
    return (Func<string>)method.CreateDelegate(typeof(Func<string>));
  }

  static void Dynamic() {
    Try("hosted by none", () => Thrower(null)());
    Try("hosted by the program", () => Thrower(typeof(P).Module)());
    Try("hosted by a module that does not ask", () => Thrower(module)());
    var asking = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName("Asking"), AssemblyBuilderAccess.Run);
    var compatibility = typeof(RuntimeCompatibilityAttribute);
    asking.SetCustomAttribute(new CustomAttributeBuilder(compatibility.GetConstructor(Type.EmptyTypes), new object[0],
      new[] { compatibility.GetProperty("WrapNonExceptionThrows") }, new object[] { true }));
    Try("hosted by one that asks", () => Thrower(asking.ManifestModule)());
    Try("body", () => Thrower(null).Method.GetMethodBody());
  }
}
