// Exceptions, traces, calls from and to native code, delegates, reflection, other domains.
using System;
using System.Diagnostics;
using System.Linq.Expressions;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using static Services;

public class Target : MarshalByRefObject
{
    public int Field;
    public int Property { get { return Field; } set { Field = value; } }
    public int Method(int x) { return x + 1; }
    public string Text(string text) { return text; }
}

static class Calls
{
    delegate int Comparison(IntPtr one, IntPtr other);

    struct Plain { public int A; public long B; }

    [DllImport("libc")] static extern int getppid();
    [DllImport("libc", CharSet = CharSet.Ansi)] static extern int strlen(string text);
    [DllImport("libc")] static extern void qsort(int[] numbers, IntPtr count, IntPtr size, Comparison compare);

    [MethodImpl(MethodImplOptions.NoInlining)]
    static void Throw(int depth)
    {
        if (depth == 0) throw new InvalidOperationException("x");
        Throw(depth - 1);
    }

    static void InOtherDomain(Action<Target> use)
    {
        var domain = AppDomain.CreateDomain("other");
        use((Target)domain.CreateInstanceAndUnwrap(typeof(Target).Assembly.FullName, "Target"));
        AppDomain.Unload(domain);
    }

    public static void Run()
    {
        Measure("throw-catch", 20000, count => { for (int i = 0; i < count; i++) try { Throw(0); } catch (InvalidOperationException) { } });
        Measure("throw-catch-20-frames", 5000, count => { for (int i = 0; i < count; i++) try { Throw(20); } catch (InvalidOperationException) { } });
        Measure("throw-and-trace-10-frames", 2000, count => {
            for (int i = 0; i < count; i++) try { Throw(10); } catch (InvalidOperationException e) { Sink += e.StackTrace.Length; }
        });
        Measure("environment-stack-trace", 1000, count => { for (int i = 0; i < count; i++) Sink += Environment.StackTrace.Length; });
        Measure("new-stack-trace", 2000, count => { for (int i = 0; i < count; i++) Sink += new StackTrace(true).FrameCount; });
        Measure("native-call", 1000000, count => { for (int i = 0; i < count; i++) Sink += getppid(); });
        Measure("native-call-with-string", 500000, count => { for (int i = 0; i < count; i++) Sink += strlen("hello world"); });
        Measure("callback-from-qsort", 20000, count => {
            var random = new Random(1);
            var numbers = new int[count];
            for (int i = 0; i < count; i++) numbers[i] = random.Next();
            qsort(numbers, (IntPtr)count, (IntPtr)4, (one, other) => Marshal.ReadInt32(one).CompareTo(Marshal.ReadInt32(other)));
        });
        Measure("structure-to-native-and-back", 200000, count => {
            var memory = Marshal.AllocHGlobal(64);
            for (int i = 0; i < count; i++) { Marshal.StructureToPtr(new Plain { A = i }, memory, false); Sink += ((Plain)Marshal.PtrToStructure(memory, typeof(Plain))).A; }
        });
        Measure("delegate-new-and-call", 3000000, count => { var target = new Target(); for (int i = 0; i < count; i++) { Func<int, int> f = target.Method; Sink += f(i); } });
        Measure("delegate-of-three", 1000000, count => { Action f = () => Sink++; f += () => Sink++; f += () => Sink++; for (int i = 0; i < count; i++) f(); });
        Measure("method-invoke", 200000, count => {
            var method = typeof(Target).GetMethod("Method");
            var target = new Target();
            var arguments = new object[] { 1 };
            for (int i = 0; i < count; i++) Sink += (int)method.Invoke(target, arguments);
        });
        Measure("get-method", 100000, count => { for (int i = 0; i < count; i++) ObjectSink = typeof(Target).GetMethod("Method"); });
        Measure("get-methods", 5000, count => { for (int i = 0; i < count; i++) Sink += typeof(string).GetMethods().Length; });
        Measure("field-get", 200000, count => { var field = typeof(Target).GetField("Field"); var target = new Target(); for (int i = 0; i < count; i++) Sink += (int)field.GetValue(target); });
        Measure("property-set", 200000, count => { var property = typeof(Target).GetProperty("Property"); var target = new Target(); for (int i = 0; i < count; i++) property.SetValue(target, 1); });
        Measure("create-instance-generic", 500000, count => { for (int i = 0; i < count; i++) ObjectSink = Activator.CreateInstance<StringBuilder>(); });
        Measure("create-instance", 500000, count => { for (int i = 0; i < count; i++) ObjectSink = Activator.CreateInstance(typeof(StringBuilder)); });
        Measure("attributes", 20000, count => { for (int i = 0; i < count; i++) Sink += typeof(StringBuilder).GetCustomAttributes(true).Length; });
        Measure("type-by-name", 50000, count => { for (int i = 0; i < count; i++) ObjectSink = Type.GetType("System.Collections.Generic.Dictionary`2[[System.String],[System.Int32]]"); });
        Measure("expression-compile", 300, count => { for (int i = 0; i < count; i++) { Expression<Func<int, int>> e = x => x * 2 + 1; Sink += e.Compile()(i); } });
        Measure("dynamic-call", 100000, count => { dynamic target = new Target(); for (int i = 0; i < count; i++) Sink += (int)target.Method(i); });
        Measure("domain-call", 20000, count => InOtherDomain(target => { for (int i = 0; i < count; i++) Sink += target.Method(i); }));
        Measure("domain-call-with-string", 5000, count => InOtherDomain(target => { for (int i = 0; i < count; i++) Sink += target.Text("hello").Length; }));
    }
}
