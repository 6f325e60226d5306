using System;
using System.Reflection;
using System.Reflection.Emit;

public interface IWorth { int Worth(); }
public abstract class Base { public abstract int Must(); public virtual int May() { return 10; } }
public class Derived : Base, IWorth { public override int Must() { return 1; } public override int May() { return 20; } public int Worth() { return 2; } }

// Delegates over methods that lack type arguments, and over methods without code of their own.
class P {
  delegate int Number();

  public void Open<T>() { Console.WriteLine(typeof(T)); }
  public static void OpenStatic<T>() { Console.WriteLine(typeof(T)); }

  static void Try(string what, Func<object> action) {
    try { Console.WriteLine(what + ": " + action()); }
    catch (Exception e) { Console.WriteLine(what + ": " + e.GetType().Name); }
  }

  static Number Make(MethodInfo method) {
    var maker = new DynamicMethod("Make", typeof(Number), Type.EmptyTypes, typeof(P));
    var code = maker.GetILGenerator();
    code.Emit(OpCodes.Newobj, typeof(Derived).GetConstructor(Type.EmptyTypes));
    code.Emit(OpCodes.Ldftn, method);
    code.Emit(OpCodes.Newobj, typeof(Number).GetConstructors()[0]);
    code.Emit(OpCodes.Ret);
    return ((Func<Number>)maker.CreateDelegate(typeof(Func<Number>)))();
  }

  static void Main() {
    Try("instance", () => Delegate.CreateDelegate(typeof(Action), new P(), typeof(P).GetMethod("Open")));
    Try("static", () => Delegate.CreateDelegate(typeof(Action), typeof(P).GetMethod("OpenStatic")));
    Try("by name", () => Delegate.CreateDelegate(typeof(Action), typeof(P), "OpenStatic"));
    Try("by its method", () => typeof(P).GetMethod("OpenStatic").CreateDelegate(typeof(Action)));
    ((Action)Delegate.CreateDelegate(typeof(Action), new P(), typeof(P).GetMethod("Open").MakeGenericMethod(typeof(int))))();
    foreach (var method in new[] { typeof(IWorth).GetMethod("Worth"), typeof(Base).GetMethod("Must"), typeof(Base).GetMethod("May") })
      Try(method.Name, () => Make(method)());
  }
}
