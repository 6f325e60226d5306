// Native code called at addresses (`calli` with an unmanaged signature): arguments become what they become for imported functions, and a collection
// by another thread does not wait for it.
using System;
using System.Reflection.Emit;
using System.Runtime.InteropServices;
using System.Threading;

static class Program
{
    [DllImport("libdl.so.2")] static extern IntPtr dlsym(IntPtr library, string name);

    // A delegate that calls the C function `name` with its own arguments.
    static T Call<T>(string name) where T : class
    {
        var invoke = typeof(T).GetMethod("Invoke");
        var types = Array.ConvertAll(invoke.GetParameters(), parameter => parameter.ParameterType);
        var method = new DynamicMethod(name, invoke.ReturnType, types, typeof(Program));
        var code = method.GetILGenerator();
        for (int i = 0; i < types.Length; i++)
            code.Emit(OpCodes.Ldarg, i);
        code.Emit(OpCodes.Ldc_I8, (long)dlsym(IntPtr.Zero, name));
        code.Emit(OpCodes.Conv_I);
        code.EmitCalli(OpCodes.Calli, CallingConvention.Cdecl, invoke.ReturnType, types);
        code.Emit(OpCodes.Ret);
        return (T)(object)method.CreateDelegate(typeof(T));
    }

    delegate IntPtr Fill(byte[] bytes, int value, IntPtr count);

    [StructLayout(LayoutKind.Sequential)]
    class Header { public int Kind, Family; }
    struct Wide { public ulong First, Second; }
    [StructLayout(LayoutKind.Sequential)]
    class Address : Header { public ushort Port; public uint Flow; public Wide Number; public uint Scope; }

    [DllImport("libc")] static extern IntPtr memcpy(byte[] target, ref int source, IntPtr count);

    // Behind the address of its first field the fields of such an object are where C has them.
    static void Main()
    {
        var address = new Address { Kind = 1, Family = 2, Port = 3, Flow = 4, Number = new Wide { First = 5, Second = 6 }, Scope = 7 };
        var copy = new byte[Marshal.SizeOf(address)];
        memcpy(copy, ref address.Kind, (IntPtr)copy.Length);
        var given = Marshal.AllocHGlobal(copy.Length);
        Marshal.StructureToPtr(address, given, false);
        var marshalled = new byte[copy.Length];
        Marshal.Copy(given, marshalled, 0, copy.Length);
        Console.WriteLine(BitConverter.ToString(copy) == BitConverter.ToString(marshalled));
        Console.WriteLine(Call<Func<string, IntPtr>>("strlen")("four"));
        var bytes = new byte[4];
        Call<Fill>("memset")(bytes, 7, (IntPtr)3);
        Console.WriteLine(BitConverter.ToString(bytes));
        Console.WriteLine(Call<Func<string, double>>("atof")("2.5"));
        Console.WriteLine(Call<Func<double, int, double>>("ldexp")(1.5, 4));

        var sleep = Call<Func<int, int>>("usleep");
        sleep(0);
        var collector = new Thread(() => {
            GC.Collect();
            Console.WriteLine("collected");
        });
        collector.Start();
        sleep(1000000);
        Console.WriteLine("slept");
        collector.Join();
    }
}
