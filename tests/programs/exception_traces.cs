// What traces hold: where an exception was thrown again, and who calls.
using System;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;

static class Broken
{
    static Broken()
    {
        throw new InvalidOperationException();
    }

    public static void Touch() { }
}

class ExceptionTraces
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    static void Throw()
    {
        throw new InvalidOperationException();
    }

    static void Print(Exception exception)
    {
        Console.WriteLine(exception.GetType().Name);
        foreach (var line in exception.StackTrace.Split('\n'))
        {
            // The frames of the class library differ with what is inlined in them.
            if (line.Contains("ExceptionTraces.") || line.Contains("(wrapper"))
                Console.WriteLine(line.Contains(" [0x") ? line.Substring(0, line.IndexOf(" [0x")) : line);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static void Rethrow(int depth)
    {
        try
        {
            if (depth == 0)
                Throw();
            Rethrow(depth - 1);
        }
        catch
        {
            throw;
        }
    }

    // Too small not to be inlined, were it not for what they ask.
    static MethodBase Current()
    {
        return MethodBase.GetCurrentMethod();
    }

    static StackFrame Frame()
    {
        return new StackFrame();
    }

    static int LastOffset(Exception exception)
    {
        var frames = new StackTrace(exception).GetFrames();
        return frames[frames.Length - 1].GetNativeOffset();
    }

    static void Main()
    {
        try { Rethrow(2); }
        catch (Exception e) { Print(e); }
        int first = 0;
        try
        {
            try { Throw(); }
            catch (Exception e) { first = LastOffset(e); throw; }
        }
        catch (Exception e) { Print(e); Console.WriteLine(LastOffset(e) != first); }
        // The exception of a class is one object, thrown anew each time.
        var lengths = new int[3];
        for (int i = 0; i < 3; i++)
        {
            try { typeof(Broken).GetMethod("Touch").Invoke(null, null); }
            catch (Exception e) { lengths[i] = e.ToString().Length; }
        }
        Console.WriteLine(lengths[0] != 0 && lengths[1] == lengths[2]);
        Action<string> line = text => Console.WriteLine(text + " " + new StackTrace().GetFrames().Length);
        line("frames");
        Console.WriteLine(Current().Name + " " + Frame().GetMethod().Name + " " + Frame().GetILOffset());
    }
}
