// The methods of frames in code that instances over reference types share: StackFrame.GetMethod gives the instance.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Runtime.CompilerServices;

interface ICall<T> { void Call(T value); }
abstract class Shape<T> {
    [MethodImpl(MethodImplOptions.NoInlining)] public virtual void Virtual() { Show.Frames("virtual"); }
    [MethodImpl(MethodImplOptions.NoInlining)] public void Plain(object first, object second) { Show.Frames("plain"); Virtual(); }
    [MethodImpl(MethodImplOptions.NoInlining)] public static T Static<U>(int depth) {
        if (depth > 0) return Static<U>(depth - 1);
        Show.Frames("static");
        new Round<U[], T>().Plain(Make<List<T>>.It(), Make<U>.It());
        return default(T);
    }
}
class Round<X, Y> : Shape<X>, ICall<KeyValuePair<Y, X>> {
    [MethodImpl(MethodImplOptions.NoInlining)] public void Call(KeyValuePair<Y, X> value) { Show.Frames("interface"); }
    [MethodImpl(MethodImplOptions.NoInlining)] public Round() { Show.Frames("constructor"); }
}
class Square<T> : Shape<T> { [MethodImpl(MethodImplOptions.NoInlining)] public override void Virtual() { Show.Frames("override"); } }
static class Make<T> { [MethodImpl(MethodImplOptions.NoInlining)] public static object It() { Show.Frames("make"); return null; } }

static class Show {
    static void Write(StackFrame frame) {
        var method = frame.GetMethod();
        Console.WriteLine("  {0} {1}", method.DeclaringType, method);
    }
    [MethodImpl(MethodImplOptions.NoInlining)] public static void Frames(string label) {
        Console.WriteLine(label);
        foreach (var frame in new StackTrace(1).GetFrames()) Write(frame);
        Write(new StackFrame(1));
    }
    public static void Trace(Exception error) {
        Console.WriteLine(error.GetType());
        foreach (var frame in new StackTrace(error).GetFrames()) Write(frame);
    }
}
static class Program {
    [MethodImpl(MethodImplOptions.NoInlining)] static void Throw<T>(int depth) where T : class {
        if (depth == 0) throw new InvalidOperationException();
        Throw<T[]>(depth - 1);
    }
    [MethodImpl(MethodImplOptions.NoInlining)] static void Interface<X, Y>(ICall<KeyValuePair<Y, X>> target) { target.Call(new KeyValuePair<Y, X>()); }
    [MethodImpl(MethodImplOptions.NoInlining)] static void Mixed<T>(List<T> list, Shape<T> shape) { shape.Plain(Shape<T>.Static<List<T>>(2), list); }
    static void Main() {
        Mixed(new List<string>(), new Square<string>());
        Mixed(new List<int>(), new Square<int>());
        Interface(new Round<string, object>());
        try { Throw<object>(3); } catch (InvalidOperationException error) { Show.Trace(error); }
        try { new Dictionary<string, Exception>().Add(null, null); } catch (ArgumentNullException error) { Show.Trace(error); }
    }
}
