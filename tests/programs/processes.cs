using System;
using System.ComponentModel;
using System.Diagnostics;

class Processes
{
    static Process Shell(string script, Action<ProcessStartInfo> change = null)
    {
        var start = new ProcessStartInfo("/bin/sh", "-c '" + script + "'") { UseShellExecute = false, RedirectStandardOutput = true };
        if (change != null)
            change(start);
        return Process.Start(start);
    }

    static void Main()
    {
        using (var process = Shell("echo out; exit 3")) {
            Console.Write(process.StandardOutput.ReadToEnd());
            process.WaitForExit();
            Console.WriteLine(process.HasExited + " " + process.ExitCode);
        }
        using (var process = Shell("read line; echo got $line >&2", start => { start.RedirectStandardInput = true; start.RedirectStandardError = true; })) {
            process.StandardInput.WriteLine("a line");
            process.StandardInput.Close();
            Console.Write(process.StandardError.ReadToEnd());
            process.WaitForExit();
        }
        using (var process = Shell("pwd; echo $GIVEN", start => { start.WorkingDirectory = "/"; start.EnvironmentVariables["GIVEN"] = "by parent"; })) {
            Console.Write(process.StandardOutput.ReadToEnd());
            process.WaitForExit();
        }
        using (var process = Shell("exec sleep 60")) {
            Console.WriteLine(process.WaitForExit(20) + " " + process.HasExited + " " + (Process.GetProcessById(process.Id).Id == process.Id));
            process.Kill();
            process.WaitForExit();
            Console.WriteLine(process.HasExited + " " + process.ExitCode);
        }
        try {
            Process.Start(new ProcessStartInfo("/no/such/program") { UseShellExecute = false });
        } catch (Win32Exception e) {
            Console.WriteLine(e.NativeErrorCode + " " + e.Message);
        }
        var done = new System.Threading.ManualResetEvent(false);
        var watched = new Process { StartInfo = new ProcessStartInfo("/bin/true") { UseShellExecute = false }, EnableRaisingEvents = true };
        watched.Exited += (sender, e) => done.Set();
        watched.Start();
        Console.WriteLine("exited event: " + done.WaitOne(10000));
        var current = Process.GetCurrentProcess();
        Console.WriteLine(current.Id > 0 && current.WorkingSet64 > 1000000 && current.VirtualMemorySize64 > current.WorkingSet64 && current.Threads != null && current.TotalProcessorTime.Ticks >= 0);
        using (var own = Process.GetCurrentProcess()) {
            bool isProgramFirst = own.Modules[0].FileName == own.MainModule.FileName && own.MainModule.ModuleMemorySize > 0;
            bool hasLibrary = false, hasAssembly = false;
            foreach (ProcessModule module in own.Modules) {
                hasLibrary |= module.ModuleName.StartsWith("libc.so") && module.BaseAddress != IntPtr.Zero;
                hasAssembly |= module.ModuleName == "mscorlib" && module.FileName == "[In Memory] mscorlib" && module.FileVersionInfo.FileMajorPart == 4;
            }
            Console.WriteLine(isProgramFirst + " " + hasLibrary + " " + hasAssembly);
        }
    }
}
