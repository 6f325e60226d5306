using System;
using System.Reflection;
using System.Reflection.Emit;
using System.Linq.Expressions;
using System.Collections.Generic;
using System.Text.RegularExpressions;
class P {
  static int Twice(int x) { return 2 * x; }
  string name = "hidden";
  static void Main() {
    var add = new DynamicMethod("add", typeof(int), new[]{typeof(int), typeof(int)}, typeof(P));
    var g = add.GetILGenerator();
    g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldarg_1); g.Emit(OpCodes.Add);
    g.Emit(OpCodes.Call, typeof(P).GetMethod("Twice", BindingFlags.NonPublic|BindingFlags.Static)); g.Emit(OpCodes.Ret);
    var f = (Func<int,int,int>)add.CreateDelegate(typeof(Func<int,int,int>));
    Console.WriteLine(f(3,4));
    Console.WriteLine(add.Invoke(null, new object[]{5,6}));
    var fact = new DynamicMethod("fact", typeof(long), new[]{typeof(int)});
    g = fact.GetILGenerator(); var l = g.DefineLabel();
    g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldc_I4_1); g.Emit(OpCodes.Bgt, l); g.Emit(OpCodes.Ldc_I8, 1L); g.Emit(OpCodes.Ret);
    g.MarkLabel(l); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Conv_I8); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldc_I4_1); g.Emit(OpCodes.Sub); g.Emit(OpCodes.Call, fact); g.Emit(OpCodes.Mul); g.Emit(OpCodes.Ret);
    Console.WriteLine(((Func<int,long>)fact.CreateDelegate(typeof(Func<int,long>)))(15));
    var read = new DynamicMethod("read", typeof(string), new[]{typeof(P)}, typeof(P), true);
    g = read.GetILGenerator(); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldfld, typeof(P).GetField("name", BindingFlags.NonPublic|BindingFlags.Instance)); g.Emit(OpCodes.Ldstr, "!\u00e9"); g.Emit(OpCodes.Call, typeof(string).GetMethod("Concat", new[]{typeof(string),typeof(string)})); g.Emit(OpCodes.Ret);
    Console.WriteLine(((Func<string>)read.CreateDelegate(typeof(Func<string>), new P()))());
    var tr = new DynamicMethod("tr", typeof(string), new[]{typeof(object)});
    g = tr.GetILGenerator(); var loc = g.DeclareLocal(typeof(string));
    g.BeginExceptionBlock(); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Callvirt, typeof(object).GetMethod("ToString")); g.Emit(OpCodes.Stloc, loc);
    g.BeginCatchBlock(typeof(NullReferenceException)); g.Emit(OpCodes.Pop); g.Emit(OpCodes.Ldstr, "null"); g.Emit(OpCodes.Stloc, loc);
    g.BeginFinallyBlock(); g.EmitWriteLine("finally"); g.EndExceptionBlock(); g.Emit(OpCodes.Ldloc, loc); g.Emit(OpCodes.Ret);
    var t = (Func<object,string>)tr.CreateDelegate(typeof(Func<object,string>));
    Console.WriteLine(t(12)); Console.WriteLine(t(null));
    int captured = 7;
    Expression<Func<int,int>> e = x => x * captured + 1;
    Console.WriteLine(e.Compile()(6));
    Expression<Func<string, IEnumerable<int>, List<string>>> e2 = (s, xs) => new List<string> { s, s + xs };
    Console.WriteLine(e2.Compile()("a", new int[0]).Count);
    dynamic d = 5; Console.WriteLine(d + 3); d = "str"; Console.WriteLine(d.Length + d.ToUpper());
    Console.WriteLine(new Regex("a(b+)c", RegexOptions.Compiled).Match("xabbbc").Groups[1].Value);
  }
}
