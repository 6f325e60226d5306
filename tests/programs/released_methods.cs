// Dynamic methods that are dropped: what is reachable or runs goes on to work, all else is freed and its numbers and memory are used again.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Threading;

public struct Wide { public long A, B, C; }

public class P {
  public static volatile bool Go, Started;
  public static Delegate Held;
  public static int Number = 5;

  static DynamicMethod New(string name, Type ret, params Type[] parameters) { return new DynamicMethod(name, ret, parameters, typeof(P), true); }

  static Func<int, string> Text(int number) {
    var method = New("text" + number, typeof(string), typeof(int));
    var g = method.GetILGenerator();
    g.Emit(OpCodes.Ldstr, "s" + number % 7); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Box, typeof(int));
    g.Emit(OpCodes.Call, typeof(string).GetMethod("Concat", new[] { typeof(object), typeof(object) })); g.Emit(OpCodes.Ret);
    return (Func<int, string>)method.CreateDelegate(typeof(Func<int, string>));
  }

  static Func<double, long, double> Sum(int number) {
    var method = New("sum", typeof(double), typeof(double), typeof(long));
    var g = method.GetILGenerator();
    for (int i = 0; i < number % 50; i++) { g.Emit(OpCodes.Ldc_I4, i); g.Emit(OpCodes.Pop); }
    g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldarg_1); g.Emit(OpCodes.Conv_R8); g.Emit(OpCodes.Add); g.Emit(OpCodes.Ldc_R8, (double)number); g.Emit(OpCodes.Add); g.Emit(OpCodes.Ret);
    return (Func<double, long, double>)method.CreateDelegate(typeof(Func<double, long, double>));
  }

  static Func<Wide, Wide> Copy(int number) {
    var method = New("copy", typeof(Wide), typeof(Wide));
    var g = method.GetILGenerator();
    g.Emit(OpCodes.Ldarga_S, (byte)0); g.Emit(OpCodes.Ldc_I8, (long)number); g.Emit(OpCodes.Stfld, typeof(Wide).GetField("B")); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ret);
    return (Func<Wide, Wide>)method.CreateDelegate(typeof(Func<Wide, Wide>));
  }

  static bool Several(int count) {
    for (int i = 0; i < count; i++) {
      if (i % 3 == 0 && Text(i)(i) != "s" + i % 7 + i) return false;
      if (i % 3 == 1 && Sum(i)(0.5, 2) != 2.5 + i) return false;
      if (i % 3 == 2 && Copy(i)(new Wide { A = 1, C = 3 }).B != i) return false;
    }
    return true;
  }

  static void Collect() {
    for (int i = 0; i < 3; i++) { GC.Collect(); GC.WaitForPendingFinalizers(); }
  }

  static long Kilobytes() { return long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1]) * 4; }

  [MethodImpl(MethodImplOptions.NoInlining)]
  static List<WeakReference> Dropped() {
    var list = new List<WeakReference>();
    for (int i = 0; i < 40; i++) {
      var method = New("dropped", typeof(int));
      var g = method.GetILGenerator(); g.Emit(OpCodes.Ldc_I4, i); g.Emit(OpCodes.Ret);
      ((Func<int>)method.CreateDelegate(typeof(Func<int>)))();
      list.Add(new WeakReference(method));
    }
    return list;
  }

  // Called by a dynamic method to which nothing else leads any more.
  public static int Inside(int number) {
    Held = null;
    Collect();
    Several(700);
    Collect();
    return number + 1;
  }

  [MethodImpl(MethodImplOptions.NoInlining)]
  static void Hold() {
    var method = New("running", typeof(int), typeof(int));
    var g = method.GetILGenerator();
    g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Call, typeof(P).GetMethod("Inside")); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Mul); g.Emit(OpCodes.Ldstr, "running"); g.Emit(OpCodes.Callvirt, typeof(string).GetMethod("get_Length")); g.Emit(OpCodes.Add); g.Emit(OpCodes.Ret);
    Held = method.CreateDelegate(typeof(Func<int, int>));
  }

  [MethodImpl(MethodImplOptions.NoInlining)]
  static Func<int, int> Take() { var held = (Func<int, int>)Held; Held = null; return held; }

  // Waits in a loop that calls nothing.
  static void Spin(List<int> results) {
    var method = New("spin", typeof(int));
    var g = method.GetILGenerator(); var again = g.DefineLabel();
    g.Emit(OpCodes.Ldc_I4_1); g.Emit(OpCodes.Volatile); g.Emit(OpCodes.Stsfld, typeof(P).GetField("Started"));
    g.MarkLabel(again); g.Emit(OpCodes.Volatile); g.Emit(OpCodes.Ldsfld, typeof(P).GetField("Go")); g.Emit(OpCodes.Brfalse, again);
    g.Emit(OpCodes.Ldsfld, typeof(P).GetField("Number")); g.Emit(OpCodes.Ret);
    var spin = (Func<int>)method.CreateDelegate(typeof(Func<int>)); method = null;
    results.Add(spin());
  }

  [MethodImpl(MethodImplOptions.NoInlining)]
  static Exception Fail() {
    var method = New("failing", typeof(void));
    var g = method.GetILGenerator(); g.Emit(OpCodes.Ldnull); g.Emit(OpCodes.Throw);
    try { ((Action)method.CreateDelegate(typeof(Action)))(); return null; } catch (NullReferenceException e) { return e; }
  }

  [MethodImpl(MethodImplOptions.NoInlining)]
  static Func<int, int> Chain(int length) {
    DynamicMethod inner = null;
    for (int i = 0; i < length; i++) {
      var method = New("link" + i, typeof(int), typeof(int));
      var g = method.GetILGenerator(); g.Emit(OpCodes.Ldarg_0); g.Emit(OpCodes.Ldc_I4, i); g.Emit(OpCodes.Add);
      if (inner != null) g.Emit(OpCodes.Call, inner);
      g.Emit(OpCodes.Ret);
      inner = method;
    }
    return (Func<int, int>)inner.CreateDelegate(typeof(Func<int, int>));
  }

  static void Main() {
    var dropped = Dropped();
    Collect();
    Console.WriteLine(dropped.Count(reference => reference.IsAlive) < 20);
    var kept = Text(1000);
    var chain = Chain(5);
    var failure = Fail();
    Collect();
    Console.WriteLine(Several(300));
    Console.WriteLine(kept(1) + " " + chain(1));
    Hold();
    Console.WriteLine(Take()(6));
    var results = new List<int>();
    var thread = new Thread(() => Spin(results));
    thread.Start();
    while (!Started) Thread.Sleep(1);
    Collect();
    Console.WriteLine(Several(700));
    Collect();
    Go = true;
    thread.Join();
    Console.WriteLine(results[0]);
    Console.WriteLine(failure.StackTrace.Contains("failing"));
    long before = Kilobytes();
    Console.WriteLine(Several(1500) + " " + (Kilobytes() - before < 40000));
    Console.WriteLine(kept(2) + " " + chain(2) + " " + kept.Method.Name);
  }
}
