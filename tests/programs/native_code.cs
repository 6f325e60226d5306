// Calls of native functions and by native functions, and structures in native memory.
using System;
using System.Runtime.InteropServices;
using System.Text;

class Program
{
    delegate int Compare(ref int left, ref int right);
    delegate int IntFunction(int value);
    delegate IntPtr ThreadStart(IntPtr argument);
    struct Small { public short A; public int B; }

    [StructLayout(LayoutKind.Sequential)]
    struct Named
    {
        public int Number;
        public string Text;
        [MarshalAs(UnmanagedType.ByValTStr, SizeConst = 8)] public string Fixed;
        [MarshalAs(UnmanagedType.ByValArray, SizeConst = 3)] public short[] Numbers;
        public bool Flag;
        public IntFunction Function;
        [MarshalAs(UnmanagedType.U1)] public bool Narrow;
        public char Letter;
        public Small Inner;
    }

    [StructLayout(LayoutKind.Explicit, Size = 12, CharSet = CharSet.Unicode)]
    struct Union
    {
        [FieldOffset(0)] public int Whole;
        [FieldOffset(0)] public byte Low;
        [FieldOffset(4)] public char Letter;
    }

    [StructLayout(LayoutKind.Sequential)]
    class BrokenDownTime
    {
        public int Second, Minute, Hour, Day, Month, Year, WeekDay, YearDay, Summer;
        public IntPtr Offset, Zone;
    }

    struct Quotient { public int Value, Rest; }

    class Descriptor : SafeHandle
    {
        public static int Released;
        public Descriptor() : base(new IntPtr(-1), true) { }
        public override bool IsInvalid { get { return handle == new IntPtr(-1); } }
        protected override bool ReleaseHandle() { Released++; return close((int)handle) == 0; }
    }

    [DllImport("libc")] static extern void qsort(int[] data, UIntPtr count, UIntPtr size, Compare compare);
    [DllImport("libc")] static extern UIntPtr strlen(string text);
    [DllImport("libc", EntryPoint = "strlen")] static extern UIntPtr LengthOf([MarshalAs(UnmanagedType.LPWStr)] string text);
    [DllImport("libc")] static extern IntPtr strcpy(StringBuilder target, string source);
    [DllImport("libc", EntryPoint = "strdup")] static extern string Duplicate(string text);
    [DllImport("libc")] static extern Quotient div(int value, int by);
    [DllImport("libc")] static extern IntPtr gmtime_r(ref long time, [In, Out] BrokenDownTime result);
    [DllImport("libc", SetLastError = true)] static extern int close(int descriptor);
    [DllImport("libc")] static extern Descriptor dup(int descriptor);
    [DllImport("libc", EntryPoint = "dup")] static extern int DuplicateHandle(Descriptor descriptor);
    [DllImport("libc")] static extern IntPtr dlopen(string name, int flags);
    [DllImport("libc")] static extern IntPtr dlsym(IntPtr library, string name);
    [DllImport("libc")] static extern int pthread_create(out IntPtr thread, IntPtr options, ThreadStart start, IntPtr argument);
    [DllImport("libc")] static extern int pthread_join(IntPtr thread, out IntPtr result);
    [DllImport("nowhere")] static extern void Missing();
    [DllImport("libc")] static extern void no_such_function();

    static void Sort()
    {
        var data = new[] { 5, 3, 9, -1, 7 };
        qsort(data, (UIntPtr)data.Length, (UIntPtr)4, (ref int left, ref int right) => left.CompareTo(right));
        Console.WriteLine(string.Join(" ", data));
        try {
            qsort(data, (UIntPtr)data.Length, (UIntPtr)4, (ref int left, ref int right) => {
                throw new InvalidOperationException("from the callback");
            });
        } catch (InvalidOperationException exception) {
            Console.WriteLine(exception.Message);
        }
        int calls = 0;
        qsort(data, (UIntPtr)data.Length, (UIntPtr)4, (ref int left, ref int right) => {
            calls++;
            GC.Collect();
            return right.CompareTo(left);
        });
        Console.WriteLine(string.Join(" ", data) + " " + (calls > 0));
    }

    static void Texts()
    {
        Console.WriteLine(strlen("h\u00e9llo"));
        Console.WriteLine(LengthOf("wide"));
        var builder = new StringBuilder(32);
        strcpy(builder, "copied");
        Console.WriteLine(builder + " " + builder.Length);
        Console.WriteLine(Duplicate("duplicate") + (Duplicate("") == ""));
        IntPtr bstr = Marshal.StringToBSTR("bstr");
        Console.WriteLine(Marshal.PtrToStringBSTR(bstr) + Marshal.ReadInt32(bstr, -4));
        Marshal.FreeBSTR(bstr);
    }

    static void Structures()
    {
        Console.WriteLine(div(17, 5).Value + " " + div(17, 5).Rest);
        var time = new BrokenDownTime();
        long seconds = 86400L * 365;
        if (IntPtr.Size == 8) gmtime_r(ref seconds, time); else { time.Year = 71; time.Day = 1; }
        Console.WriteLine(time.Year + " " + time.Day);
        int words = IntPtr.Size == 8 ? 8 : 4;
        Console.WriteLine(Marshal.SizeOf(typeof(Union)) + " " + Marshal.OffsetOf(typeof(Union), "Letter"));
        Console.WriteLine(Marshal.SizeOf(typeof(bool)) + " " + Marshal.SizeOf(typeof(char)) + " " + Marshal.SizeOf(typeof(Small)));
        Console.WriteLine((int)Marshal.OffsetOf(typeof(Named), "Fixed") == 2 * words);
        var named = new Named {
            Number = 3, Text = "t\u00e9xt", Fixed = "much too long", Numbers = new short[] { 1, -2, 3 }, Flag = true,
            Function = value => value + 1, Narrow = true, Letter = 'x', Inner = new Small { A = 4, B = 5 },
        };
        IntPtr memory = Marshal.AllocHGlobal(Marshal.SizeOf(named));
        Marshal.StructureToPtr(named, memory, false);
        Show((Named)Marshal.PtrToStructure(memory, typeof(Named)));
        named.Text = null;
        named.Function = null;
        Marshal.StructureToPtr(named, memory, true);
        var back = (Named)Marshal.PtrToStructure(memory, typeof(Named));
        Console.WriteLine((back.Text == null) + " " + (back.Function == null));
        Marshal.DestroyStructure(memory, typeof(Named));
        Marshal.FreeHGlobal(memory);
        try { Marshal.SizeOf(typeof(DateTime)); }
        catch (ArgumentException exception) { Console.WriteLine(exception.Message.Split('\n')[0]); }
    }

    static void Show(Named named)
    {
        Console.WriteLine(named.Number + " " + named.Text + " " + named.Fixed + " " + string.Join(",", named.Numbers) + " " + named.Flag
            + " " + named.Function(41) + " " + named.Narrow + " " + named.Letter + " " + named.Inner.A + " " + named.Inner.B);
    }

    static void Pointers()
    {
        IntFunction twice = value => 2 * value;
        IntPtr pointer = Marshal.GetFunctionPointerForDelegate(twice);
        Console.WriteLine(pointer == Marshal.GetFunctionPointerForDelegate(twice));
        Console.WriteLine(Marshal.GetDelegateForFunctionPointer(pointer, typeof(IntFunction)) == (object)twice);
        IntPtr abs = dlsym(dlopen(null, 1), "abs");
        var absolute = (IntFunction)Marshal.GetDelegateForFunctionPointer(abs, typeof(IntFunction));
        Console.WriteLine(absolute(-12));
    }

    static void Threads()
    {
        IntPtr thread, result;
        ThreadStart start = argument => {
            GC.Collect();
            return new IntPtr(argument.ToInt32() + 1 + new int[10].Length);
        };
        pthread_create(out thread, IntPtr.Zero, start, new IntPtr(5));
        pthread_join(thread, out result);
        Console.WriteLine(result);
        GC.KeepAlive(start);
    }

    static void Handles()
    {
        var handle = dup(1);
        Console.WriteLine(handle.IsInvalid);
        int other = DuplicateHandle(handle);
        Console.WriteLine(other > 2);
        close(other);
        handle.Dispose();
        Console.WriteLine(Descriptor.Released);
        try { DuplicateHandle(handle); } catch (ObjectDisposedException) { Console.WriteLine("closed"); }
        try { DuplicateHandle(null); } catch (ArgumentNullException) { Console.WriteLine("null"); }
        close(-1);
        Console.WriteLine(Marshal.GetLastWin32Error());
        try { Missing(); } catch (DllNotFoundException) { Console.WriteLine("no library"); }
        try { no_such_function(); } catch (EntryPointNotFoundException) { Console.WriteLine("no function"); }
    }

    static void Main()
    {
        Sort();
        Texts();
        Structures();
        Pointers();
        Threads();
        Handles();
    }
}
