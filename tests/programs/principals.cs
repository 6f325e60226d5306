// Users and groups of the system, normal forms of text, and drives.
using System;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Security.Principal;
using System.Text;

class Program
{
    [DllImport("libc")] static extern uint geteuid();

    static void Users()
    {
        var current = WindowsIdentity.GetCurrent();
        Console.WriteLine((uint)(long)current.Token == geteuid());
        Console.WriteLine(current.Name.Length > 0 && current.IsAuthenticated);
        var root = new WindowsIdentity("root");
        Console.WriteLine(root.Name + " " + root.Token + " " + root.IsSystem + " " + root.IsGuest + " " + root.IsAnonymous);
        var principal = new WindowsPrincipal(root);
        Console.WriteLine(principal.IsInRole("root") + " " + principal.IsInRole(0) + " " + principal.IsInRole("nobody knows this group"));
        Console.WriteLine(principal.IsInRole(54321) + " " + principal.IsInRole((string)null));
        try { Console.WriteLine(new WindowsIdentity("nobody knows this user").Token); }
        catch (Exception exception) { Console.WriteLine(exception.GetType().Name); }
        Console.WriteLine("anonymous [" + WindowsIdentity.GetAnonymous().Name + "]");
    }

    static string Codes(string text) { return string.Join(" ", text.Select(unit => ((int)unit).ToString("x4"))); }

    static void NormalForms()
    {
        foreach (var text in new[] { "\u00e9\u1e69", "e\u0301s\u0323\u0307", "\ufb01\u2460\u00bd", "\uac01\u1100\u1161\u11a8", "\u212b\u2126", "a\u0315\u0300\u05ae\u0062" })
            foreach (NormalizationForm form in Enum.GetValues(typeof(NormalizationForm)))
                Console.WriteLine(form + " " + Codes(text.Normalize(form)) + " " + text.IsNormalized(form));
    }

    static void Drives()
    {
        var root = new DriveInfo("/");
        Console.WriteLine(root.Name + " " + root.IsReady + " " + (root.TotalSize > 0) + " " + (root.AvailableFreeSpace <= root.TotalFreeSpace));
        // Not every system lists this one among its drives.
        Func<string, object> call = name => typeof(DriveInfo).GetMethods(BindingFlags.Static | BindingFlags.NonPublic)
            .First(method => method.Name == name && method.GetParameters()[0].ParameterType == typeof(string)).Invoke(null, new object[] { "/proc" });
        Console.WriteLine(call("GetDriveFormat") + " " + (DriveType)(uint)call("GetDriveTypeInternal"));
    }

    static void Main()
    {
        Users();
        NormalForms();
        Drives();
    }
}
