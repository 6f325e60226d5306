// Calling conventions of native functions, called and calling back.
using System;
using System.Reflection.Emit;
using System.Runtime.InteropServices;

struct Triple { public double X, Y, Z; public override string ToString() => X + " " + Y + " " + Z; }
struct Instance { public int Number; }

static class Program
{
    const string Library = "native_conventions";
    const CallingConvention StdCall = CallingConvention.StdCall, ThisCall = CallingConvention.ThisCall;

    [DllImport(Library, CallingConvention = StdCall)] static extern int add(int a, long b, double c);
    [DllImport(Library, CallingConvention = StdCall)] static extern int nothing();
    [DllImport(Library, CallingConvention = StdCall)] static extern double half(double a);
    [DllImport(Library, CallingConvention = StdCall)] static extern Triple triple(double a, Triple b);
    [DllImport(Library, CallingConvention = StdCall)] static extern int of_c(int a, int b);
    [DllImport(Library, CallingConvention = ThisCall)] static extern int member(ref Instance self, int a, double b);
    [DllImport(Library, CallingConvention = ThisCall)] static extern int floats_first(double a, ref Instance b, int c);
    [DllImport(Library)] static extern int call(Add function, int count);
    [DllImport(Library)] static extern Triple call_triple(MakeTriple function, double a);
    [DllImport(Library)] static extern int call_member(Member function, ref Instance instance);
    [DllImport(Library)] static extern IntPtr address();

    [UnmanagedFunctionPointer(StdCall)] delegate int Add(int a, long b, double c);
    [UnmanagedFunctionPointer(StdCall)] delegate Triple MakeTriple(double a, Triple b);
    [UnmanagedFunctionPointer(ThisCall)] delegate int Member(ref Instance self, int a, double b);

    static int Repeat(int count)
    {
        int sum = 0;
        for (int i = 0; i < count; i++)
            sum += add(i, 1L, 1.5) + nothing() + of_c(1, 2) + (int)half(4) + (int)triple(1, new Triple { X = 2 }).X;
        return sum;
    }

    static void Main()
    {
        var instance = new Instance { Number = 30 };
        Console.WriteLine("{0} {1} {2} {3}", add(1, 2, 3.5), nothing(), half(5), triple(1, new Triple { X = 1, Y = 2, Z = 3 }));
        Console.WriteLine("{0} {1} {2}", of_c(3, 4), member(ref instance, 4, 5.5), floats_first(1.5, ref instance, 2));
        Console.WriteLine(Repeat(1000));
        Console.WriteLine(call((a, b, c) => a + (int)b + (int)(2 * c), 100));
        Console.WriteLine(call_triple((a, b) => new Triple { X = a, Y = a + b.Y, Z = b.Z }, 5));
        Console.WriteLine(call_member((ref Instance self, int a, double b) => self.Number++ + a + (int)b, ref instance));
        Console.WriteLine(instance.Number);

        var function = (Add)Marshal.GetDelegateForFunctionPointer(address(), typeof(Add));
        Console.WriteLine(function(4, 5, 6));
        var method = new DynamicMethod("call", typeof(int), new[] { typeof(IntPtr) }, typeof(Program));
        var code = method.GetILGenerator();
        code.Emit(OpCodes.Ldc_I4_7);
        code.Emit(OpCodes.Ldc_I8, 8L);
        code.Emit(OpCodes.Ldc_R8, 9.5);
        code.Emit(OpCodes.Ldarg_0);
        code.EmitCalli(OpCodes.Calli, StdCall, typeof(int), new[] { typeof(int), typeof(long), typeof(double) });
        code.Emit(OpCodes.Ret);
        Console.WriteLine(((Func<IntPtr, int>)method.CreateDelegate(typeof(Func<IntPtr, int>)))(address()));
    }
}
