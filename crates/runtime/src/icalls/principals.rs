//! `System.Security.Principal`: users and groups of the system. A token is the number of a user.

use super::native_text::c_text;
use super::{InternalCall, icall, raising};
use crate::object::{ArrayRef, ObjectRef, StringRef};
use il::types::TypeId;
use nix::unistd::{Gid, Group, Uid, User, getresuid, getuid, setresuid};
use std::ffi::c_char;

/// The token of a user who is not known, as Mono has it.
const NO_USER: isize = -2;

/// Leaves one of a process's users as it is (`setresuid`).
const UNCHANGED: Uid = Uid::from_raw(u32::MAX);

fn uid_of(token: isize) -> Uid {
    Uid::from_raw(token as u32)
}

extern "C" fn current_token() -> isize {
    Uid::effective().as_raw() as isize
}

extern "C" fn token_name(token: isize) -> StringRef {
    raising(|| {
        let user = User::from_uid(uid_of(token)).ok().flatten();
        StringRef::new(user.as_ref().map_or("", |user| &user.name))
    })
}

extern "C" fn user_token(name: ObjectRef) -> isize {
    let name = name.as_string().map_or_else(String::new, |name| name.text());
    User::from_name(&name).ok().flatten().map_or(NO_USER, |user| user.uid.as_raw() as isize)
}

/// The class library asks for single groups instead.
extern "C" fn roles(_token: isize) -> ArrayRef {
    raising(|| ArrayRef::new(TypeId::STRING, 0))
}

extern "C" fn close_token(_token: isize) -> bool {
    true
}

extern "C" fn duplicate_token(token: isize) -> isize {
    token
}

/// Goes on as another user; the way back is kept as the saved one.
extern "C" fn set_current_token(token: isize) -> bool {
    setresuid(UNCHANGED, uid_of(token), getuid()).is_ok() && Uid::effective() == uid_of(token)
}

extern "C" fn revert_to_self() -> bool {
    let Ok(ids) = getresuid() else { return false };
    setresuid(UNCHANGED, ids.saved, UNCHANGED).is_ok() && Uid::effective() == ids.saved
}

/// Whether a group is that of a user, or has it as a member.
fn is_member(token: isize, group: Option<Group>) -> bool {
    let user = User::from_uid(uid_of(token)).ok().flatten();
    user.zip(group).is_some_and(|(user, group)| user.gid == group.gid || group.mem.contains(&user.name))
}

extern "C" fn is_member_of_id(token: isize, group: isize) -> bool {
    is_member(token, Group::from_gid(Gid::from_raw(group as u32)).ok().flatten())
}

extern "C" fn is_member_of_name(token: isize, group: *const c_char) -> bool {
    // SAFETY: the caller passes null or a text that ends with a 0.
    let group = unsafe { c_text(group) };
    is_member(token, Group::from_name(&group).ok().flatten())
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Security.Principal.WindowsIdentity:GetCurrentToken ()", current_token as *const ()),
    icall("System.Security.Principal.WindowsIdentity:GetTokenName (intptr)", token_name as *const ()),
    icall("System.Security.Principal.WindowsIdentity:GetUserToken (string)", user_token as *const ()),
    icall("System.Security.Principal.WindowsIdentity:_GetRoles (intptr)", roles as *const ()),
    icall("System.Security.Principal.WindowsImpersonationContext:CloseToken (intptr)", close_token as *const ()),
    icall("System.Security.Principal.WindowsImpersonationContext:DuplicateToken (intptr)", duplicate_token as *const ()),
    icall("System.Security.Principal.WindowsImpersonationContext:RevertToSelf ()", revert_to_self as *const ()),
    icall("System.Security.Principal.WindowsImpersonationContext:SetCurrentToken (intptr)", set_current_token as *const ()),
    icall("System.Security.Principal.WindowsPrincipal:IsMemberOfGroupId (intptr,intptr)", is_member_of_id as *const ()),
    icall("System.Security.Principal.WindowsPrincipal:IsMemberOfGroupName (intptr,intptr)", is_member_of_name as *const ()),
];
