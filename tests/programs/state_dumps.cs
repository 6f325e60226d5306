// `Mono.Runtime`: dumps of what threads are doing and of where exceptions came from, for reports of crashes.
using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using System.Threading;

class P {
  static readonly ManualResetEvent done = new ManualResetEvent(false);
  static volatile bool waits;

  static object Call(string name, params object[] arguments) {
    return Type.GetType("Mono.Runtime").GetMethod(name, BindingFlags.NonPublic | BindingFlags.Static).Invoke(null, arguments);
  }

  static Tuple<string, ulong, ulong> Dump(string name, params object[] arguments) { return (Tuple<string, ulong, ulong>)Call(name, arguments); }

  // Not inlined: Mono would leave out the frame.
  [MethodImpl(MethodImplOptions.NoInlining)]
  static void Fail(int depth) { if (depth == 0) throw new InvalidOperationException("failed"); Fail(depth - 1); GC.KeepAlive(depth); }

  [MethodImpl(MethodImplOptions.NoInlining)]
  static void FailAgain(int depth) {
    if (depth == 0) try { Fail(2); } catch (Exception inner) { throw new ArgumentException("again", inner); }
    FailAgain(depth - 1);
    GC.KeepAlive(depth);
  }

  [MethodImpl(MethodImplOptions.NoInlining)]
  static void Wait() { waits = true; done.WaitOne(); }

  // The portable hash of a stack: sums of assemblies' names and tokens.
  static ulong Hash(Exception exception) {
    ulong hash = 0;
    for (; exception != null; exception = exception.InnerException)
      foreach (var method in new StackTrace(exception).GetFrames().Select(frame => frame.GetMethod())) {
        uint name = 0;
        foreach (var character in method.Module.Assembly.GetName().Name) name = name * 31 + character;
        hash += name + (ulong)method.MetadataToken;
      }
    return hash;
  }

  static void Check(string title, Tuple<string, ulong, ulong> dump) {
    var text = dump.Item1;
    var depth = 0;
    var low = 0;
    foreach (var character in text) { if (character == '{' || character == '[') depth++; if (character == '}' || character == ']') depth--; low = Math.Min(low, depth); }
    Console.WriteLine("{0}: {1} {2} {3}", title, depth, low, dump.Item2 != 0 && dump.Item3 != 0);
    Console.WriteLine("  " + Regex.IsMatch(text, "\"protocol_version\" *: *\"0.0.5\"") + " " + text.Contains(dump.Item2.ToString("x")) + " " + text.Contains(dump.Item3.ToString("x")));
    foreach (Match match in Regex.Matches(text, "\"type\" *: *\"([^\"]*)\"")) Console.WriteLine("  " + match.Groups[1]);
  }

  static bool Mentions(string text, string name) {
    var method = typeof(P).GetMethod(name, BindingFlags.NonPublic | BindingFlags.Static);
    var frame = "\"guid\" : \"" + method.Module.ModuleVersionId.ToString().ToUpperInvariant() + "\",\\s*\"token\" : \"0x" + method.MetadataToken.ToString("x") + "\"";
    return Regex.IsMatch(text, frame);
  }

  static void Main() {
    var folder = Path.Combine(Path.GetTempPath(), "saki-state-dumps-" + Process.GetCurrentProcess().Id);
    Directory.CreateDirectory(folder);
    Directory.SetCurrentDirectory(folder);
    try {
      var waiting = new Thread(Wait) { Name = "waiting" };
      waiting.Start();
      while (!waits) Thread.Sleep(1);
      Thread.Sleep(20);
      var dump = Dump("DumpStateSingle");
      Check("own thread", dump);
      Console.WriteLine("  " + Mentions(dump.Item1, "Main") + " " + Mentions(dump.Item1, "Dump") + " " + Mentions(dump.Item1, "Wait"));
      dump = Dump("DumpStateTotal");
      Check("all threads", dump);
      Console.WriteLine("  " + Mentions(dump.Item1, "Main") + " " + Mentions(dump.Item1, "Wait") + " " + Regex.IsMatch(dump.Item1, "\"thread_name\" *: *\"waiting\""));
      done.Set();
      waiting.Join();

      try { Fail(3); } catch (Exception exception) {
        dump = Dump("ExceptionToState", exception);
        Check("exception", dump);
        Console.WriteLine("  " + (dump.Item2 == Hash(exception)));
        Call("WriteStateToFile", exception);
        Call("WriteStateToFile", exception);
        var files = Directory.GetFiles(".", "mono_crash.*").OrderBy(name => name).ToArray();
        Console.WriteLine("  " + files.Length + " " + (files[0] == "./mono_crash." + dump.Item2.ToString("x") + ".0.json") + " " + (File.ReadAllText(files[0]) == dump.Item1));
        Console.WriteLine("  [" + Call("GetNativeStackTrace", exception) + "]");
      }
      try { FailAgain(2); } catch (Exception exception) {
        dump = Dump("ExceptionToState", exception);
        Check("exceptions", dump);
        Console.WriteLine("  " + (dump.Item2 == Hash(exception)));
      }
      dump = Dump("ExceptionToState", new Exception("not thrown"));
      Check("not thrown", dump);

      Console.WriteLine(Call("CheckCrashReportLog", "./", false));
      Call("EnableCrashReportLog", "./");
      Dump("DumpStateTotal");
      Call("EnableCrashReportLog", new object[] { null });
      Console.WriteLine(Call("CheckCrashReportLog", "./", false));
      Console.WriteLine(Call("CheckCrashReportLog", "./", true));
      Console.WriteLine(Call("CheckCrashReportLog", "./", true));
      Call("RegisterReportingForNativeLib", "library.so", "library");
      Call("RegisterReportingForAllNativeLibs");
      try { Call("EnableMicrosoftTelemetry", "a", "b", "c", "d", "e", "f", "g"); } catch (TargetInvocationException exception) { Console.WriteLine(exception.InnerException.Message); }
    } finally {
      Directory.SetCurrentDirectory(Path.GetTempPath());
      Directory.Delete(folder, true);
    }
  }
}
