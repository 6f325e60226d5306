using System;
using System.Collections.Generic;
using System.Reflection;
using System.Reflection.Emit;

public interface IShape { int Area(); }
public abstract class Shape { public virtual string Name() { return "shape"; } }
public class MarkAttribute : Attribute { public MarkAttribute(string text, int[] numbers, Type type) { Text = text + numbers.Length + type.Name; } public string Text; public object Extra { get; set; } public DayOfWeek Day; }

public static class Listing {
  public static string List(int first, __arglist) {
    var rest = new ArgIterator(__arglist);
    string list = first.ToString();
    while (rest.GetRemainingCount() > 0) list += " " + TypedReference.ToObject(rest.GetNextArg());
    return list + ";";
  }
}

class P {
  static ModuleBuilder module;

  static void Main() {
    var assembly = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName("Made") { Version = new Version(1, 2, 3, 4) }, AssemblyBuilderAccess.Run);
    module = assembly.DefineDynamicModule("Made");
    Shapes(); Generic(); Nested(); Enumeration(); Recursive(); Attributes(); Events(); VariableArguments(); Signatures();
    Console.WriteLine(assembly.GetType("Square").AssemblyQualifiedName);
    Console.WriteLine(assembly.GetType("Square").Module == module);
  }

  static void Shapes() {
    var t = module.DefineType("Square", TypeAttributes.Public, typeof(Shape), new[] { typeof(IShape) });
    var side = t.DefineField("side", typeof(int), FieldAttributes.Private);
    var count = t.DefineField("count", typeof(int), FieldAttributes.Public | FieldAttributes.Static);
    var ctor = t.DefineConstructor(MethodAttributes.Public, CallingConventions.Standard, new[] { typeof(int) });
    var g = ctor.GetILGenerator();
    g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Call, typeof(Shape).GetConstructor(BindingFlags.NonPublic | BindingFlags.Instance, null, Type.EmptyTypes, null));
    g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldarg_1); g.Emit(OpCodes.Stfld, side);
    g.Emit(OpCodes.Ldsfld, count); g.Emit(OpCodes.Ldc_I4_1); g.Emit(OpCodes.Add); g.Emit(OpCodes.Stsfld, count); g.Emit(OpCodes.Ret);
    var area = t.DefineMethod("Area", MethodAttributes.Public | MethodAttributes.Virtual, typeof(int), Type.EmptyTypes);
    g = area.GetILGenerator(); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldfld, side); g.Emit(OpCodes.Dup); g.Emit(OpCodes.Mul); g.Emit(OpCodes.Ret);
    var name = t.DefineMethod("Name", MethodAttributes.Public | MethodAttributes.Virtual | MethodAttributes.HideBySig, typeof(string), Type.EmptyTypes);
    g = name.GetILGenerator(); g.Emit(OpCodes.Ldstr, "square of "); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Call, typeof(Shape).GetMethod("Name"));
    g.Emit(OpCodes.Call, typeof(string).GetMethod("Concat", new[] { typeof(string), typeof(string) })); g.Emit(OpCodes.Ret);
    var hidden = t.DefineMethod("Hidden", MethodAttributes.Private | MethodAttributes.Virtual | MethodAttributes.NewSlot, typeof(string), Type.EmptyTypes);
    g = hidden.GetILGenerator(); g.Emit(OpCodes.Ldstr, "hidden"); g.Emit(OpCodes.Ret);
    t.DefineMethodOverride(hidden, typeof(object).GetMethod("ToString"));
    var property = t.DefineProperty("Side", PropertyAttributes.None, typeof(int), null);
    var get = t.DefineMethod("get_Side", MethodAttributes.Public | MethodAttributes.SpecialName, typeof(int), Type.EmptyTypes);
    g = get.GetILGenerator(); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldfld, side); g.Emit(OpCodes.Ret); property.SetGetMethod(get);
    var made = t.CreateType();
    object square = Activator.CreateInstance(made, 5);
    Console.WriteLine(((IShape)square).Area() + " " + ((Shape)square).Name() + " " + square);
    Console.WriteLine(made.GetProperty("Side").GetValue(square, null) + " " + made.GetField("count").GetValue(null) + " " + made.BaseType + " " + made.GetInterfaces().Length);
    Console.WriteLine(made.GetConstructors()[0] + ", " + made.GetMethod("Area"));
  }

  static void Generic() {
    var t = module.DefineType("Pair`2", TypeAttributes.Public);
    var p = t.DefineGenericParameters("A", "B");
    p[1].SetGenericParameterAttributes(GenericParameterAttributes.ReferenceTypeConstraint);
    var first = t.DefineField("first", p[0], FieldAttributes.Public);
    var list = t.DefineField("list", typeof(List<>).MakeGenericType(p[1]), FieldAttributes.Public);
    var set = t.DefineMethod("Set", MethodAttributes.Public, typeof(void), new Type[] { p[0], p[1] });
    var g = set.GetILGenerator();
    g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldarg_1); g.Emit(OpCodes.Stfld, first);
    g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Newobj, TypeBuilder.GetConstructor(typeof(List<>).MakeGenericType(p[1]), typeof(List<>).GetConstructor(Type.EmptyTypes))); g.Emit(OpCodes.Stfld, list);
    g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldfld, list); g.Emit(OpCodes.Ldarg_2); g.Emit(OpCodes.Callvirt, TypeBuilder.GetMethod(typeof(List<>).MakeGenericType(p[1]), typeof(List<>).GetMethod("Add"))); g.Emit(OpCodes.Ret);
    var swap = t.DefineMethod("Echo", MethodAttributes.Public | MethodAttributes.Static);
    var m = swap.DefineGenericParameters("M"); swap.SetParameters(m[0]); swap.SetReturnType(m[0].MakeArrayType());
    g = swap.GetILGenerator(); g.DeclareLocal(m[0].MakeArrayType()); g.Emit(OpCodes.Ldc_I4_1); g.Emit(OpCodes.Newarr, m[0]); g.Emit(OpCodes.Stloc_0); g.Emit(OpCodes.Ldloc_0); g.Emit(OpCodes.Ldc_I4_0); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Stelem, m[0]); g.Emit(OpCodes.Ldloc_0); g.Emit(OpCodes.Ret);
    var made = t.CreateType();
    Console.WriteLine(made + " " + made.GetGenericArguments()[1].GenericParameterAttributes);
    var closed = made.MakeGenericType(typeof(int), typeof(string));
    object pair = Activator.CreateInstance(closed);
    closed.GetMethod("Set").Invoke(pair, new object[] { 42, "text" });
    Console.WriteLine(closed.GetField("first").GetValue(pair) + " " + ((List<string>)closed.GetField("list").GetValue(pair))[0]);
    Console.WriteLine(((double[])closed.GetMethod("Echo").MakeGenericMethod(typeof(double)).Invoke(null, new object[] { 1.5 }))[0]);
    var user = module.DefineType("User");
    var use = user.DefineMethod("Use", MethodAttributes.Public | MethodAttributes.Static, typeof(string), Type.EmptyTypes);
    var inst = t.MakeGenericType(typeof(long), user);
    g = use.GetILGenerator(); g.DeclareLocal(inst);
    g.Emit(OpCodes.Ldtoken, inst); g.Emit(OpCodes.Call, typeof(Type).GetMethod("GetTypeFromHandle")); g.Emit(OpCodes.Callvirt, typeof(object).GetMethod("ToString")); g.Emit(OpCodes.Ret);
    Console.WriteLine(user.CreateType().GetMethod("Use").Invoke(null, null));
  }

  static void Nested() {
    var outer = module.DefineType("Outer", TypeAttributes.Public);
    var inner = outer.DefineNestedType("Inner", TypeAttributes.NestedPublic | TypeAttributes.SequentialLayout | TypeAttributes.Sealed, typeof(ValueType));
    inner.DefineField("x", typeof(int), FieldAttributes.Public);
    var f = outer.DefineField("inner", inner, FieldAttributes.Public);
    var madeInner = inner.CreateType();
    var made = outer.CreateType();
    Console.WriteLine(madeInner.FullName + " " + madeInner.DeclaringType + " " + made.GetNestedTypes()[0].Name + " " + (made.GetNestedType("Inner") == madeInner) + " " + madeInner.IsValueType);
    object o = Activator.CreateInstance(made);
    Console.WriteLine(made.GetField("inner").GetValue(o));
  }

  static void Enumeration() {
    var e = module.DefineEnum("Level", TypeAttributes.Public, typeof(int));
    e.DefineLiteral("Low", 1); e.DefineLiteral("High", 7);
    var made = e.CreateType();
    Console.WriteLine(Enum.Parse(made, "High") + " " + (int)Enum.Parse(made, "Low") + " " + string.Join(",", Enum.GetNames(made)));
  }

  static void Recursive() {
    var a = module.DefineType("A", TypeAttributes.Public);
    var b = module.DefineType("B", TypeAttributes.Public);
    var even = a.DefineMethod("Even", MethodAttributes.Public | MethodAttributes.Static, typeof(bool), new[] { typeof(int) });
    var odd = b.DefineMethod("Odd", MethodAttributes.Public | MethodAttributes.Static, typeof(bool), new[] { typeof(int) });
    Body(even.GetILGenerator(), odd, true); Body(odd.GetILGenerator(), even, false);
    var madeA = a.CreateType(); b.CreateType();
    Console.WriteLine(madeA.GetMethod("Even").Invoke(null, new object[] { 10 }) + " " + madeA.GetMethod("Even").Invoke(null, new object[] { 7 }));
  }

  static void Body(ILGenerator g, MethodInfo other, bool atZero) {
    var next = g.DefineLabel();
    g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Brtrue, next); g.Emit(atZero ? OpCodes.Ldc_I4_1 : OpCodes.Ldc_I4_0); g.Emit(OpCodes.Ret);
    g.MarkLabel(next); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldc_I4_1); g.Emit(OpCodes.Sub); g.Emit(OpCodes.Call, other); g.Emit(OpCodes.Ret);
  }

  static void Attributes() {
    var t = module.DefineType("Marked", TypeAttributes.Public);
    var ctor = typeof(MarkAttribute).GetConstructors()[0];
    t.SetCustomAttribute(new CustomAttributeBuilder(ctor, new object[] { "a", new[] { 1, 2 }, typeof(string) }, new[] { typeof(MarkAttribute).GetProperty("Extra") }, new object[] { 3L }, new[] { typeof(MarkAttribute).GetField("Day") }, new object[] { DayOfWeek.Friday }));
    var literal = t.DefineField("Literal", typeof(string), FieldAttributes.Public | FieldAttributes.Static | FieldAttributes.Literal); literal.SetConstant("constant");
    var data = module.DefineInitializedData("Data", new byte[] { 1, 2, 3, 4 }, FieldAttributes.Public);
    var mark = (MarkAttribute)Attribute.GetCustomAttribute(t.CreateType(), typeof(MarkAttribute));
    Console.WriteLine(mark.Text + " " + mark.Extra + " " + mark.Day);
    Console.WriteLine(module.GetType("Marked").GetField("Literal").GetValue(null));
  }

  static void Events() {
    var d = module.DefineType("Handler", TypeAttributes.Public | TypeAttributes.Sealed, typeof(MulticastDelegate));
    d.DefineConstructor(MethodAttributes.Public | MethodAttributes.HideBySig | MethodAttributes.RTSpecialName, CallingConventions.Standard, new[] { typeof(object), typeof(IntPtr) }).SetImplementationFlags(MethodImplAttributes.Runtime);
    d.DefineMethod("Invoke", MethodAttributes.Public | MethodAttributes.Virtual | MethodAttributes.HideBySig | MethodAttributes.NewSlot, typeof(string), new[] { typeof(int) }).SetImplementationFlags(MethodImplAttributes.Runtime);
    var made = d.CreateType();
    var handler = Delegate.CreateDelegate(made, typeof(Convert).GetMethod("ToString", new[] { typeof(int) }));
    Console.WriteLine(handler.DynamicInvoke(31) + " " + made.BaseType);
    var t = module.DefineType("Source", TypeAttributes.Public);
    var e = t.DefineEvent("Changed", EventAttributes.None, made);
    var add = t.DefineMethod("add_Changed", MethodAttributes.Public, typeof(void), new[] { made }); add.GetILGenerator().Emit(OpCodes.Ret); e.SetAddOnMethod(add);
    var remove = t.DefineMethod("remove_Changed", MethodAttributes.Public, typeof(void), new[] { made }); remove.DefineParameter(1, ParameterAttributes.None, "value"); remove.GetILGenerator().Emit(OpCodes.Ret); e.SetRemoveOnMethod(remove);
    var source = t.CreateType();
    Console.WriteLine(source.GetEvent("Changed") + " " + source.GetMethod("remove_Changed").GetParameters()[0].Name);
  }
  static void VariableArguments() {
    var t = module.DefineType("Variable", TypeAttributes.Public);
    var method = t.DefineMethod("Call", MethodAttributes.Public | MethodAttributes.Static, typeof(string), Type.EmptyTypes);
    var g = method.GetILGenerator();
    g.Emit(OpCodes.Ldc_I4_3); g.Emit(OpCodes.Ldstr, "text"); g.Emit(OpCodes.Ldc_I8, 7L);
    g.EmitCall(OpCodes.Call, typeof(Listing).GetMethod("List"), new[] { typeof(string), typeof(long) });
    g.Emit(OpCodes.Ldc_I4_4); g.EmitCall(OpCodes.Call, typeof(Listing).GetMethod("List"), null);
    g.Emit(OpCodes.Call, typeof(string).GetMethod("Concat", new[] { typeof(string), typeof(string) })); g.Emit(OpCodes.Ret);
    Console.WriteLine(t.CreateType().GetMethod("Call").Invoke(null, null));
    try { g.EmitCall(OpCodes.Call, typeof(Console).GetMethod("WriteLine", Type.EmptyTypes), new[] { typeof(int) }); }
    catch (InvalidOperationException e) { Console.WriteLine(e.Message); }
  }

  static void Signatures() {
    var helper = SignatureHelper.GetLocalVarSigHelper(module);
    helper.AddArgument(typeof(int)); helper.AddArgument(typeof(string[])); helper.AddArgument(typeof(long*), true); helper.AddArgument(typeof(object));
    Console.WriteLine(BitConverter.ToString(helper.GetSignature()));
    helper = SignatureHelper.GetFieldSigHelper(module); helper.AddArgument(typeof(string));
    Console.WriteLine(BitConverter.ToString(helper.GetSignature()));
    helper = SignatureHelper.GetLocalVarSigHelper(); helper.AddArgument(typeof(int));
    Console.WriteLine(BitConverter.ToString(helper.GetSignature()));
    var info = new DynamicMethod("described", typeof(void), Type.EmptyTypes).GetDynamicILInfo();
    try { info.SetLocalSignature(helper.GetSignature()); } catch (NotImplementedException) { Console.WriteLine("not implemented"); }
  }
}
